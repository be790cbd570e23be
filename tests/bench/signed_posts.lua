-- signed_posts.lua: for wrk: the requests of a file in turn, each with a delivery id of its own.
--     wrk ... -s signed_posts.lua URL -- REQUESTS SEED
-- The file holds blocks "<size>\n<bytes>" (ingress_bench.py makes it).  Prints one JSON line at the end.
-- SPDX-License-Identifier: Apache-2.0
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  heads, tails = {}, {}
  local file = assert(io.open(args[1], "rb"))
  local size = file:read("*l")
  while size do
    local text = file:read(tonumber(size))
    local _, at = text:find("X%-GitHub%-Delivery: ")
    heads[#heads + 1] = text:sub(1, at)
    tails[#tails + 1] = text:sub(at + 37)
    size = file:read("*l")
  end
  seed, sent, count = tonumber(args[2]) * 16 + number, 0, #heads
end

function request()
  sent = sent + 1
  local i = sent % count + 1
  return heads[i] .. string.format("%08x-0000-4000-8000-%012x", seed, sent) .. tails[i]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.status, e.connect + e.read + e.write + e.timeout))
end

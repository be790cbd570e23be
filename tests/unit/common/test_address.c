/* test_address.c: addresses in one form, networks with honest prefixes, listen addresses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "address.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static void addresses_come_back_in_one_form(void **state)
{
    (void)state;
    const char *const rows[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:DB8:0::1", "2001:db8::1"},
        {"::1", "::1"},
        {"192.0.2", NULL},
        {"192.0.2.256", NULL},
        {"192.0.2.01", NULL},
        {"", NULL},
        {" 192.0.2.1", NULL},
        {"192.0.2.1 ", NULL},
        {"2001:db8::1%eth0", NULL},
        {"[::1]", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address a;
        char text[ADDRESS_TEXT_SIZE];
        bool parsed = address_parse(bytes_of(rows[i][0]), &a);
        if (parsed != (rows[i][1] != NULL)) fail_msg("'%s'", rows[i][0]);
        if (!parsed) continue;
        address_format(&a, text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void networks_hold_what_their_prefix_says(void **state)
{
    (void)state;
    const struct {
        const char *network, *address;
        int verdict; /* 1 inside, 0 outside, -1 not a network */
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.0", 1},
        {"192.0.2.0/24", "192.0.2.255", 1},
        {"192.0.2.0/24", "192.0.3.0", 0},
        {"192.0.2.128/25", "192.0.2.127", 0},
        {"192.0.2.1", "192.0.2.1", 1},
        {"192.0.2.1", "192.0.2.2", 0},
        {"192.0.2.1/32", "192.0.2.1", 1},
        {"0.0.0.0/0", "203.0.113.1", 1},
        {"0.0.0.0/0", "2001:db8::1", 0},
        {"::/0", "203.0.113.1", 1},
        {"2001:db8::/33", "2001:db8:7fff::", 1},
        {"2001:db8::/33", "2001:db8:8000::", 0},
        {"2001:db8::/128", "2001:db8::1", 0},
        {"192.0.2.0/24", "::ffff:192.0.2.1", 1},
        {"::ffff:192.0.2.0/120", "192.0.2.9", 1},
        {"192.0.2.1/24", NULL, -1},
        {"2001:db8::1/64", NULL, -1},
        {"192.0.2.0/33", NULL, -1},
        {"192.0.2.0/-1", NULL, -1},
        {"192.0.2.0/", NULL, -1},
        {"192.0.2.0/24x", NULL, -1},
        {"/24", NULL, -1},
        {"", NULL, -1},
        {"github.com", NULL, -1},
        {"2001:db8::/129", NULL, -1},
        {"::", NULL, -1},
        {"::/128", NULL, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct network n;
        struct address a;
        struct error error;
        int verdict = -1;
        if (network_parse(bytes_of(rows[i].network), &n, &error)) {
            assert_non_null(rows[i].address);
            assert_true(address_parse(bytes_of(rows[i].address), &a));
            verdict = network_contains(&n, &a);
        } else {
            assert_int_equal(error.code, ERROR_INVALID);
        }
        if (verdict != rows[i].verdict)
            fail_msg("%s %s: %d", rows[i].network, rows[i].address ? rows[i].address : "", verdict);
    }
}

/* The peer of a Unix socket is in no network, however wide, but in the one that stands for it. */
static void no_address_is_in_no_network(void **state)
{
    (void)state;
    const struct sockaddr local = {.sa_family = AF_UNIX};
    const struct network own = {.prefix = 128};
    struct network all;
    struct address none, some;
    char text[ADDRESS_TEXT_SIZE];
    memset(&none, 1, sizeof none);
    assert_true(address_from_socket(&local, &none));
    assert_true(address_is_none(&none));
    address_format(&none, text);
    assert_string_equal(text, "unix");
    assert_false(address_is_loopback(&none));
    assert_true(network_parse(bytes_of("::/0"), &all, NULL));
    assert_false(network_contains(&all, &none));
    assert_true(network_contains(&own, &none));
    assert_true(address_parse(bytes_of("0.0.0.0"), &some));
    assert_false(network_contains(&own, &some));
    assert_false(address_is_none(&some));
}

static void listen_addresses(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int family, port; /* family 0: refused */
        bool loopback;
    } rows[] = {
        {"127.0.0.1:8080", AF_INET, 8080, true},
        {"127.9.9.9:0", AF_INET, 0, true},
        {"0.0.0.0:80", AF_INET, 80, false},
        {"[::1]:8080", AF_INET6, 8080, true},
        {"[::]:8080", AF_INET6, 8080, false},
        {"[2001:db8::1]:1", AF_INET6, 1, false},
        {"127.0.0.1", 0, 0, false},
        {"127.0.0.1:", 0, 0, false},
        {":8080", 0, 0, false},
        {"localhost:8080", 0, 0, false},
        {"127.0.0.1:65536", 0, 0, false},
        {"::1:8080", 0, 0, false},
        {"[::1]", 0, 0, false},
        {"", 0, 0, false},
        {"[127.0.0.1]:80", 0, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage s;
        unsigned size;
        struct error error;
        bool parsed = address_parse_listen(rows[i].text, &s, &size, &error);
        if (parsed != (rows[i].family != 0)) fail_msg("'%s' %s", rows[i].text, parsed ? "passed" : error.text);
        if (!parsed) continue;
        struct address a;
        assert_int_equal(s.ss_family, rows[i].family);
        assert_true(address_from_socket((struct sockaddr *)&s, &a));
        assert_int_equal(address_is_loopback(&a), rows[i].loopback);
        int port =
            s.ss_family == AF_INET ? ((struct sockaddr_in *)&s)->sin_port : ((struct sockaddr_in6 *)&s)->sin6_port;
        assert_int_equal(ntohs((uint16_t)port), rows[i].port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_come_back_in_one_form),
        cmocka_unit_test(networks_hold_what_their_prefix_says),
        cmocka_unit_test(no_address_is_in_no_network),
        cmocka_unit_test(listen_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

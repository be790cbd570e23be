"""Certificates for the listener under test, made with the openssl command.  SPDX-License-Identifier: Apache-2.0"""

import os
import ssl
import subprocess


class Certificate:
    """A self-signed certificate for localhost with its key, in files that can be made anew in place."""

    def __init__(self, folder, name="tls"):
        self.certificate = os.path.join(folder, f"{name}.crt")
        self.key = os.path.join(folder, f"{name}.key")
        self.make()

    @property
    def settings(self):
        return {"tls_certificate": self.certificate, "tls_key": self.key}

    def make(self, days=30):
        """A new one over the old one, each file at once."""
        new = [path + ".new" for path in (self.certificate, self.key)]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-days", str(days), "-out", new[0], "-keyout", new[1]], check=True, capture_output=True)
        os.chmod(new[1], 0o600)
        os.rename(new[1], self.key)
        os.rename(new[0], self.certificate)

    def context(self, trust=True):
        """A client's: it trusts the certificate of this moment, or whatever comes."""
        context = ssl.create_default_context(cafile=self.certificate if trust else None)
        if not trust:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

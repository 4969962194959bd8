"""The host's process answers at its port and reaches nothing else."""

import json
import subprocess
import sys
import urllib.request

import pytest

PROBE = """
import http.server, json, socket, sys, threading
from posterngate.endpoints.host.offline import leave_network, listen
listener = listen()
left = leave_network()

def reaches(address):
    try:
        socket.create_connection(address, timeout=2).close()
        return True
    except OSError:
        return False

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"left": left, "reaches": reaches(("127.0.0.1", int(sys.argv[1])))}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass

server = http.server.HTTPServer(listener.getsockname(), Answer, bind_and_activate=False)
server.socket.close()
server.socket = listener
print(listener.getsockname()[1], flush=True)
server.handle_request()
"""


def test_it_answers_at_its_port_and_reaches_no_other():
    """Where the system lets it go, a process can be asked but can ask nobody, this machine included."""
    import http.server

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        words = [sys.executable, "-c", PROBE, str(other.server_address[1])]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        port = int(process.stdout.readline())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/", timeout=20) as reply:
            said = json.load(reply)
        process.communicate(timeout=20)
    if not said["left"]:
        assert said["reaches"]
        pytest.skip("this system doesn't let a process leave its network")
    assert not said["reaches"]

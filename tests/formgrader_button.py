"""Press formgrader's button "Autograde" in a real Jupyter server: ``python formgrader_button.py OWN STUDENT COURSE…``.

Prints what the server answers in each course, as JSON. It is a program, since a server takes over the event loop of its
process; each has a process of its own, forked after the imports, which take longest.
"""

import json
import os
import sys
import urllib.parse
from pathlib import Path

from jupyter_server.serverapp import ServerApp
from nbgrader.server_extensions.formgrader import formgrader
from tornado.httpclient import AsyncHTTPClient, HTTPRequest


def press(root: Path, student: str) -> bytes:
    """Do what the button does; see formgrader's manage_submissions.js."""
    app = ServerApp(log_level="CRITICAL")
    options = ["--port=0", "--ip=127.0.0.1", "--no-browser", "--allow-root", "--ServerApp.token=t"]
    app.initialize([*options, f"--ServerApp.root_dir={root}"], find_extensions=False)
    formgrader.load_jupyter_server_extension(app)
    path = f"formgrader/api/submission/tiny/{urllib.parse.quote(student)}/autograde"
    request = HTTPRequest(f"{app.connection_url}{path}", method="POST", body="", request_timeout=60.0)
    request.headers["Authorization"] = "token t"
    answer = app.io_loop.run_sync(lambda: AsyncHTTPClient().fetch(request))
    app.io_loop.run_sync(app._cleanup)
    return answer.body


if __name__ == "__main__":
    own, who, *courses = sys.argv[1:]
    os.environ |= {name: str(Path(own) / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    os.environ["JUPYTER_RUNTIME_DIR"] = str(Path(own) / "runtime")
    for course in courses:
        if (child := os.fork()) == 0:
            os.chdir(course)
            print(json.dumps(json.loads(press(Path(course), who))), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"the server in {course} did not answer")

"""Own a child process and never let it outlive whoever started us; run as a script, standard library only.

Standard input is a pipe from the parent. Its end, for whatever reason, SIGKILL of the parent included, kills the
child at once; the line ``stop`` ends it in an orderly way. The first line printed is the child's process id.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECS = 10


def main(command: list[str], log_file: str) -> int:
    """Run ``command`` with its output in ``log_file``; return its exit code."""
    with open(log_file, "ab") as log:  # noqa: PTH123 - kept free of imports, as it starts with every broker
        child = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    print(child.pid, flush=True)  # noqa: T201 - the parent reads it
    threading.Thread(target=listen, args=(child,), daemon=True).start()
    return child.wait()


def listen(child: "subprocess.Popen[bytes]") -> None:
    """Wait for the parent's word, or for its end."""
    word = sys.stdin.readline().strip()
    if word == "stop":
        child.terminate()
        try:
            child.wait(GRACE_SECS)
        except subprocess.TimeoutExpired:
            pass
        else:
            return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        # The parent decides, not the terminal. A handler and not SIG_IGN: the child would inherit that
        signal.signal(number, lambda _number, _frame: None)
    sys.exit(main(sys.argv[2:], sys.argv[1]))

"""A loopback of the benchmark's own, with a congestion control that does not pace.

With BBR, which some machines are set to, a timer paces each packet of a big body. On loopback that
is most of the work: it halves what every server sends, and who has how many timers decides.
"""

import ctypes
import fcntl
import socket
import struct
from pathlib import Path

CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
# The one that Linux comes with; but a network that is not the machine's first may take only those
# that the machine allows to everybody, which "reno" always is.
UNPACED = ("cubic", "reno")
CLONE_NEWNET = 0x40000000       # linux/sched.h
SIOCSIFFLAGS = 0x8914           # linux/sockios.h
IFF_UP = 1                      # linux/if.h


def _bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def isolate():
    """This process and its children; before any thread is started. Who may not make a network
    goes on in the machine's own: the report says with which congestion control."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        return
    _bring_loopback_up()
    for control in UNPACED:
        try:
            CONTROL.write_text(control)
            return
        except OSError:         # it is not there, or not for this network
            pass


def congestion_control() -> str:
    return CONTROL.read_text().strip()

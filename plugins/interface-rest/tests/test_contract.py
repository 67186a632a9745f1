from __future__ import annotations

from agentplat_testkit import InterfaceContract


class TestRest(InterfaceContract):
    plugin = "interface-rest"
    name = "rest"

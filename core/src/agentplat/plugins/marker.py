"""The marker that plugin authors put on their hook implementations."""

from __future__ import annotations

import pluggy

hookimpl = pluggy.HookimplMarker("agentplat")
hookspec = pluggy.HookspecMarker("agentplat")

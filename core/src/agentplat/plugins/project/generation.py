"""One generation of the project's folder, over the installed plugins. A reload makes the next; the caller swaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agentplat.contracts.agent import AgentSpec
from agentplat.domain.errors import AgentplatError
from agentplat.language.diagnostics import nearest
from agentplat.plugins.discovery import PluginState
from agentplat.plugins.host import PluginRecord
from agentplat.plugins.offers import KINDS, OfferInvalid, kind_of
from agentplat.plugins.project.sources import ProjectOffer, Source, read_sources
from agentplat.plugins.registry import Registries, RegistryBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What is installed together with what the folder adds to it, or replaces."""

    folder: Path
    registries: Registries
    records: tuple[PluginRecord, ...]
    """One per file that offers something, or is at fault. The reason of an active one says what of it is not used."""
    offers: tuple[ProjectOffer, ...]
    """What of the files is used, for the next generation to fall back on."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Lines of the form `file:line:column: code: text`, file by file."""
        return tuple(line for record in self.records if record.reason for line in record.reason.splitlines())


def load_project(folder: Path, installed: Registries, previous: Project | None = None) -> Project:
    """What the folder gives now. Never raises for what is in it: what is at fault is left out, with the reason.

    Where a file or an entry of `previous` has become faulty, its last good version stays in use.
    """
    folder = folder.absolute()
    known = previous.offers if previous is not None and previous.folder == folder else ()
    sources = [_with_last_good(source, known) for source in read_sources(folder)]
    faults: dict[str, list[str]] = {source.file: list(source.faults) for source in sources}
    offers = tuple(offer for source in sources for offer in source.offers)

    builder = RegistryBuilder(installed)
    accepted: list[ProjectOffer] = []
    for offer in offers:
        refusal = _refusal(offer, offers, known, builder)
        if refusal is None:
            accepted.append(offer)
        else:
            faults[offer.file].append(offer.diagnosed("not_usable", refusal))
    registries = builder.build()
    for offer in accepted:
        faults[offer.file] += _unknown_names(offer, registries)
    return Project(
        folder=folder,
        registries=registries,
        records=tuple(
            _record(source, accepted, faults[source.file]) for source in sources if source.offers or faults[source.file]
        ),
        offers=tuple(accepted),
    )


def _with_last_good(source: Source, previous: Iterable[ProjectOffer]) -> Source:
    kept = tuple(
        offer
        for offer in previous
        if offer.file == source.file and (source.broken is None or offer.spec.name in source.broken)
    )
    if not kept:
        return source
    names = ", ".join(offer.spec.name for offer in kept)
    note = kept[0].diagnosed("last_good", f"the last good version stays in use ({names})")
    offers = kept if source.broken is None else (*source.offers, *kept)
    return Source(file=source.file, offers=offers, faults=(*source.faults, note), broken=source.broken)


def _refusal(
    offer: ProjectOffer, offers: Iterable[ProjectOffer], known: Iterable[ProjectOffer], builder: RegistryBuilder
) -> str | None:
    """Registers the offer, or says why not. A name that is given twice stays with who had it before, or is nobody's."""
    others = [other for other in offers if other is not offer and _is_same(other, offer)]
    if others and not any(_is_same(before, offer) and before.file == offer.file for before in known):
        return f"{kind_of(offer.spec).word} {offer.spec.name!r} is given at {others[0].origin} too; keep one"
    try:
        builder.register(offer.spec, origin=offer.origin, renamed=offer.renamed)
    except OfferInvalid as invalid:
        return invalid.detail
    return None


def _is_same(one: ProjectOffer, other: ProjectOffer) -> bool:
    return type(one.spec) is type(other.spec) and one.spec.name == other.spec.name


def _unknown_names(offer: ProjectOffer, registries: Registries) -> Iterator[str]:
    """Tools and models of an agent that nobody has. The agent stays: it may do without, or they may come."""
    if not isinstance(offer.spec, AgentSpec):
        return
    for tool in offer.spec.tools:
        if tool not in registries.tools:
            yield offer.diagnosed("unknown_tool", f"there is no tool `{tool}`", nearest(tool, registries.tools.names))
    if offer.spec.model is not None:
        try:
            registries.model(offer.spec.model)
        except AgentplatError as error:
            yield offer.diagnosed("unknown_model", error.detail)


def _record(source: Source, accepted: Iterable[ProjectOffer], faults: list[str]) -> PluginRecord:
    used = [offer.spec for offer in accepted if offer.file == source.file]
    return PluginRecord(
        name=source.file,
        distribution=None,
        version=None,
        state=PluginState.REJECTED if faults and not used else PluginState.ACTIVE,
        reason="\n".join(faults) or None,
        offers={
            kind.field: names
            for kind in KINDS
            if (names := tuple(spec.name for spec in used if isinstance(spec, kind.spec)))
        },
    )

"""A map that runs: workers take the items one after another, so that many items cost no task each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from metta_sweep.address import check_name, item
from metta_sweep.errors import Fault, InvalidInput
from metta_sweep.here import here
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.item_failure import ItemFailure
from metta_sweep.pipeline.keeping.resume_plan import UNKNOWN, Preview, depends
from metta_sweep.pipeline.parts.stage_node import StageNode
from metta_sweep.pipeline.proof.elements import items_problem
from metta_sweep.pipeline.proof.outline import Part, Wire
from metta_sweep.pipeline.running.run import Scope, note_place
from metta_sweep.pipeline.running.trying import Trying, cancel_count, cancelled_since

if TYPE_CHECKING:
    from metta_sweep.pipeline.parts.map import MapSpec

__all__ = ["ItemScope", "MapNode", "TolerantTrying"]


class ItemScope(Scope):
    """Where one item of a map runs."""

    __slots__ = ("called", "key")

    def __init__(self, around: Scope, key: int | str, value: Any, called: str) -> None:
        super().__init__(around.run, around.values, around.prefix, deadline=around.deadline, item=value)
        self.kept = around.kept
        self.key = key
        """What names the item in its address."""
        self.called = called
        """The parameter that gets the item."""

    def context(self) -> Context:
        """What the stage may read, the item among it, under the name of its parameter."""
        return context_of({**self.values, self.called: self.item})

    def address(self, name: str) -> str:
        """The address of what runs for the item."""
        return item(super().address(name), self.key)


class ItemFailed(Exception):
    """An item failed for good, and others go on. What fails after it (a store, a strict hook) comes as it is."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class TolerantTrying(Trying):
    """Tries an item whose failure ends nothing: it comes as an ``ItemFailed``."""

    async def output(self, scope: Scope, address: str) -> tuple[Any, int, bool]:
        """The checked output, the number of attempts that it took, and whether it is a replacement."""
        try:
            return await super().output(scope, address)
        except Exception as error:
            if scope.run.broken is not None:
                raise
            raise ItemFailed(error) from error


class MapNode:
    """A map that runs."""

    def __init__(self, spec: MapSpec, stage: StageNode, path: str, into: str | None, over: tuple[Wire, ...]) -> None:
        self.spec = spec
        self.name = spec.name
        self.path = path
        """Its address without indices."""
        self.stage = stage
        """What runs for each item."""
        self.into = into
        """The field that gets the outputs."""
        self.called = stage.spec.item or ""
        """The parameter that gets the item."""
        self.over = over
        """What flows into the map itself."""
        self.nodes = (stage,)
        self.lean = None
        self._keep = False

    def keep(self, field: str) -> None:
        """Keep the outputs under the map's name, for ``ref("map.field")``."""
        self._keep = self._keep or field == self.into

    def faults_when_kept(self, scope: str) -> list[Fault]:
        """What stands against keeping the outputs of the items. The list of them is not kept: it is made of them."""
        return self.stage.faults_when_kept(scope)

    def outline(self) -> Part:
        """What it looks like in tables and drawings."""
        part = self.stage.outline()
        told = (f"over {self.spec.over}", f"limit {self.spec.limit}", *(("collects failures",) if self.spec.collect else ()))
        wires = (*self.over, *(wire for wire in part.reads if wire not in self.over))
        return part._replace(kind="map", reads=wires, provides=self.spec.provides(), hooks=(*told, *part.hooks))

    def preview(self, preview: Preview) -> None:
        """Tell of each item, if the items are known."""
        scope, path = preview.scope, preview.scope.address(self.name)
        fields = () if self.into is None else (self.into,)
        maker = preview.depends_on([self.spec.over])
        if maker:
            preview.leave(path, self.path, fields, depends(maker))
            return
        items = self._items(scope)
        outputs = []
        for key, value in zip(self._keys(scope, items), items, strict=True):
            place = ItemScope(scope, key, value, self.called)
            outputs.append(self.stage.foresee(preview.at(place), place.address(self.name)))
        if any(output is UNKNOWN for output in outputs):
            preview.forget(fields, self.path)
        elif self.into is not None:
            scope.values[self.into] = outputs
            preview.learn(fields)
            if self._keep:
                scope.kept[f"{self.path}.{self.into}"] = outputs

    async def run(self, scope: Scope) -> None:
        """Run the stage for each item, and gather the outputs in the order of the items."""
        items = self._items(scope)
        outputs = await _Gathering(self, scope, items, self._keys(scope, items)).all()
        if self.into is not None:
            scope.values[self.into] = outputs
            if self._keep:
                scope.kept[f"{self.path}.{self.into}"] = outputs

    def _items(self, scope: Scope) -> Sequence[Any]:
        found = scope.values[self.spec.over]
        problem = items_problem(type(found))
        if problem is None:
            return found if isinstance(found, list | tuple) else tuple(found)
        raise InvalidInput(
            f"map {self.name!r} at {scope.address(self.name)}",
            f"the field {self.spec.over!r} cannot be mapped over: it is {type(found).__name__}, {problem.split('. ')[0]}",
            found=found,
            expected="a list or another sequence",
            remedy=problem.split(". ", 1)[1].removesuffix("."),
        )

    def _keys(self, scope: Scope, items: Sequence[Any]) -> Sequence[int | str]:
        """What names each item in its address."""
        key = self.spec.key
        if key is None:
            return range(len(items))
        where = f"map {self.name!r} at {scope.address(self.name)}"
        first: dict[str, int] = {}
        for index, value in enumerate(items):
            try:
                found = getattr(value, key) if isinstance(key, str) else key(value)
            except Exception as error:
                error.add_note(f"in key= of {where}, for item {index}")
                raise
            name = check_name(str(found) if isinstance(found, int) else found, f"{where}, key= of item {index}")
            if name in first:
                raise InvalidInput(
                    where,
                    f"key= gives the items {first[name]} and {index} the same name",
                    found=name,
                    expected="another name for each item",
                    remedy="Use a key that tells the items apart, or none",
                )
            first[name] = index
        return tuple(first)


class _Gathering:
    """One execution of a map."""

    def __init__(self, node: MapNode, scope: Scope, items: Sequence[Any], keys: Sequence[int | str]) -> None:
        self._stage = node.stage
        self._called = node.called
        self._scope = scope
        self._items = items
        self._keys = keys
        self._collect = node.spec.collect
        self._workers = min(node.spec.limit, len(items))
        self._outputs: list[Any] = [None] * len(items)
        self._all_begun = asyncio.Event()
        """No item is left to be begun."""
        self._first: BaseException | None = None
        """The first failure: it ends the map."""

    async def all(self) -> list[Any]:
        """The outputs, in the order of the items."""
        todo = iter(range(len(self._items)))
        if self._workers <= 1:
            try:
                await self._work(todo)
            finally:
                here.set(self._scope)
            return self._outputs
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._until_failure(todo))
        except BaseExceptionGroup:
            if self._first is None:
                raise
        if self._first is not None:
            raise self._first
        return self._outputs

    async def _until_failure(self, todo: Iterator[int]) -> None:
        try:
            await self._work(todo)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._first is not None or (task is not None and task.cancelling()):
                raise
            self._first = error  # an item that cancels itself ends the run, as in a stage, and is not lost in the group
            raise _Ended from None
        except BaseException as error:
            if self._first is None:
                self._first = error
            raise

    async def _work(self, todo: Iterator[int]) -> None:
        """Take items until there are none left."""
        scope, items, keys, outputs = self._scope, self._items, self._keys, self._outputs
        one = self._one if scope.run.watched else self._at_once
        cancelling, last = cancel_count(), len(items) - 1
        for index in todo:
            if self._first is not None:
                return
            if index == last:
                self._all_begun.set()
            place = ItemScope(scope, keys[index], items[index], self._called)
            here.set(place)
            try:
                outputs[index] = await one(place)
            except ItemFailed as failed:
                if cancelled_since(cancelling):
                    raise failed.error from None  # what a cancelled item raises ends the map, as it ends a stage
                outputs[index] = ItemFailure.of(index, failed.error)
            if scope.run.leaks:
                await self._place_free(item(scope.address(self._stage.name), keys[index]))

    async def _place_free(self, address: str) -> None:
        """Wait for the thread that an item left behind: it keeps its place among those that run, while others are to come."""
        if not self._scope.run.leaks_within(address):
            return
        waits = [asyncio.ensure_future(wait) for wait in (self._scope.run.leaks_ended(address), self._all_begun.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _one(self, scope: ItemScope) -> Any:
        return await self._stage.produce(scope, scope.address(self._stage.name))

    async def _at_once(self, scope: ItemScope) -> Any:
        """One item of a coroutine function to which nothing is attached."""
        stage, run = self._stage, scope.run
        if stage.lean is None:
            return await self._one(scope)
        scope.node = stage.name
        try:
            output = stage.lean.check(await stage.lean.call(scope))
        except Exception as error:
            note_place(error, stage.name, scope.address(stage.name))
            if self._collect and run.broken is None:
                raise ItemFailed(error) from error
            raise
        if run.record is not None:
            run.record(scope.address(stage.name), output, None)
        return output


class _Ended(Exception):
    """Ends the workers of a map."""

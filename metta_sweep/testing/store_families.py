"""What every store must do with runs that lie within other runs, and with copies of runs: a part of ``StoreConformance``."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

from metta_sweep.errors import RunInUse, StoreError
from metta_sweep.records import RunRow, Store
from metta_sweep.testing.store_samples import RUN, make_checkpoint, make_record, make_row, refused

__all__ = ["StoreFamilies"]

_FAMILY = ("digits/trial[0]>inner", "digits/trial[0]>inner/trial[1]>deep", "digits/tasks[3]/fit>inner")
_OTHERS = ("digits-2", "digits0", "digit/trial[0]>inner", "digits@1/trial[0]>inner", "Digits/trial[0]>inner")


class StoreFamilies:
    """Tests of families and forks. The store has the run ``digits``, which this process drives."""

    store: Store

    def make_family(self) -> None:
        """Descendants of ``digits``, and runs with names like theirs."""
        for name in (*_OTHERS[:2], *_FAMILY, *_OTHERS[2:]):
            self.store.create_run(RunRow(f"id of {name}", name, 2.0))

    def names(self, under: str | None = None) -> list[str | None]:
        """The names of the runs."""
        return [row.name for row in self.store.runs(under)]

    # -- descendants -------------------------------------------------------------------------------------------------------------

    def test_descendants_are_listed_oldest_first(self) -> None:
        """Those whose names begin with that of the run and a slash, however deep; neither the run itself nor its namesakes."""
        self.make_family()
        assert self.names(under="digits") == list(_FAMILY)
        assert self.names(under="digits/trial[0]>inner") == [_FAMILY[1]]
        assert self.names(under="digits/trial[0]>inner/trial[1]>deep") == []
        assert self.names(under="nothing") == []
        assert len(self.names()) == 1 + len(_FAMILY) + len(_OTHERS)

    def test_descendants_of_a_run_without_a_name_are_found_by_its_id(self) -> None:
        """With which their names begin."""
        self.store.create_run(RunRow("Sweep-1f", None, 2.0))
        self.store.create_run(RunRow("a", "Sweep-1f/trial[0]>inner", 2.0))
        assert self.names(under="Sweep-1f") == ["Sweep-1f/trial[0]>inner"]
        self.store.rename_run("Sweep-1f", "kept")
        assert self.names() == ["digits", "kept", "kept/trial[0]>inner"]

    def test_names_may_be_long(self) -> None:
        """A hundred levels of long names."""
        deep = "digits" + f"/trial[{'7' * 150}]>{'é' * 200}" * 100
        self.store.create_run(RunRow("deep", deep, 2.0))
        assert self.names(under="digits") == [deep]
        self.store.rename_run(RUN, "digits@1")
        assert self.store.find_run(deep.replace("digits", "digits@1")) == RunRow("deep", deep.replace("digits", "digits@1"), 2.0)

    # -- renaming a family -------------------------------------------------------------------------------------------------------

    def test_a_renamed_run_takes_its_descendants_along(self) -> None:
        """All of them and no others; their ids and the order of all runs stay; the old names are free."""
        self.make_family()
        ids = [row.run_id for row in self.store.runs()]
        self.store.rename_run(RUN, "moved")
        assert self.names(under="moved") == [name.replace("digits", "moved", 1) for name in _FAMILY]
        assert self.names(under="digits") == []
        assert set(_OTHERS) < set(self.names())
        assert [row.run_id for row in self.store.runs()] == ids
        self.store.create_run(RunRow("again", _FAMILY[0], 3.0))

    def test_a_child_is_renamed_with_what_is_below_it(self) -> None:
        """Its parent and its siblings keep their names."""
        self.make_family()
        self.store.rename_run(f"id of {_FAMILY[0]}", f"{_FAMILY[0]}@1")
        assert self.names(under="digits") == [f"{_FAMILY[0]}@1", f"{_FAMILY[0]}@1/trial[1]>deep", _FAMILY[2]]

    def test_a_name_that_a_descendant_could_not_have_is_refused(self) -> None:
        """Another run has it, as its name or its id: nothing of the family is renamed."""
        self.make_family()
        self.store.create_run(RunRow("taken/trial[0]>inner", None, 3.0))
        before = self.store.runs()
        for name in ("digits@1", "taken"):
            with refused(StoreError):
                self.store.rename_run(RUN, name)
            assert self.store.runs() == before

    def test_a_family_may_move_to_names_that_its_members_have(self) -> None:
        """One level down or up: who has a name before does not matter where it loses that."""
        for number, name in enumerate(("digits/a", "digits/a/a", "digits/a/a/b")):
            self.store.create_run(RunRow(f"{number}", name, 2.0))
        self.store.rename_run("0", "digits/a/a/a")
        assert self.names(under="digits") == ["digits/a/a/a", "digits/a/a/a/a", "digits/a/a/a/a/b"]
        self.store.rename_run("0", "digits/a")
        assert self.names(under="digits") == ["digits/a", "digits/a/a", "digits/a/a/b"]
        self.store.rename_run("0", "digits/a")
        assert self.names(under="digits/a") == ["digits/a/a", "digits/a/a/b"]

    def test_a_family_of_which_somebody_drives_a_member_is_not_renamed(self) -> None:
        """By this process, too; the run itself may be driven, by whoever renames it."""
        self.make_family()
        before = self.store.runs()
        driven = f"id of {_FAMILY[1]}"
        self.store.acquire(driven)
        for run_id in (RUN, f"id of {_FAMILY[0]}"):
            with refused(RunInUse):
                self.store.rename_run(run_id, "moved")
        assert self.store.runs() == before
        self.store.release(driven)
        self.store.rename_run(RUN, "moved")
        assert len(self.names(under="moved")) == len(_FAMILY)

    # -- forks -------------------------------------------------------------------------------------------------------------------

    def test_a_fork_has_all_that_its_source_has(self) -> None:
        """Records, rows and checkpoints, as they were written, over more than a page of them; and it says whence it came."""
        records = [record for seq in range(600) for record in (make_record(seq, 0), make_record(seq, payload=b"\xff\x00"))]
        rows = [make_row(number, "x" if number == 7 else None) for number in range(0, 1200, 2)]
        self.store.append(RUN, records, rows)
        self.store.put_checkpoint(RUN, make_checkpoint("train", b"1"))
        row = RunRow("fork", "digits/trial[1]>inner", 3.0, ("quick",))
        self.store.fork_run(RUN, row)
        assert self.store.find_run("digits/trial[1]>inner") == row._replace(forked_from=RUN)
        assert self.store.runs()[-1] == row._replace(forked_from=RUN)
        assert list(self.store.records("fork")) == records
        assert list(self.store.trial_rows("fork")) == rows
        assert self.store.trial_row("fork", "14") == make_row(14)
        assert self.store.get_checkpoint("fork", "train") == make_checkpoint("train", b"1")
        assert self.store.end_of("fork") == self.store.end_of(RUN) == 600

    def test_a_fork_goes_on_by_itself(self) -> None:
        """Nobody drives it; what one of the two gets, the other does not; it can be forked again."""
        self.store.append(RUN, [make_record(0)], [make_row(0)])
        self.store.fork_run(RUN, RunRow("fork", None, 3.0))
        self.store.acquire("fork")
        self.store.append("fork", [make_record(1)], [make_row(0, score=0.9), make_row(1)])
        self.store.put_checkpoint("fork", make_checkpoint("train", b"2"))
        self.store.append(RUN, [make_record(1, 2)])
        assert (self.store.end_of(RUN), self.store.end_of("fork")) == (3, 2)
        assert list(self.store.trial_rows(RUN)) == [make_row(0)]
        assert self.store.get_checkpoint(RUN, "train") is None
        self.store.fork_run("fork", RunRow("again", None, 4.0, forked_from="what nobody asks"))
        assert self.store.find_run("again") == RunRow("again", None, 4.0, forked_from="fork")
        assert list(self.store.records("again")) == [make_record(0), make_record(1)]

    def test_a_fork_that_cannot_be_leaves_nothing(self) -> None:
        """An id or a name that is taken, and a source that there is not; what is there stays as it is."""
        self.store.append(RUN, [make_record(0)], [make_row(0)])
        before = self.store.runs()
        for source, row in (
            (RUN, RunRow(RUN, "other", 0.0)),
            (RUN, RunRow("other", "digits", 0.0)),
            (RUN, RunRow("other", RUN, 0.0)),
            ("none", RunRow("other", "other", 0.0)),
        ):
            with refused(StoreError):
                self.store.fork_run(source, row)
        assert self.store.runs() == before
        assert list(self.store.records(RUN)) == [make_record(0)]
        self.store.append(RUN, [make_record(1)])

    def test_a_run_without_records_can_be_forked(self) -> None:
        """The fork is as empty, and begins by itself."""
        self.store.fork_run(RUN, RunRow("fork", None, 3.0))
        self.store.acquire("fork")
        self.store.append("fork", [make_record(0)])
        assert (self.store.end_of(RUN), self.store.end_of("fork")) == (0, 1)

"""What every store must do, as tests: for people who write one."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

from metta_sweep.errors import RunInUse, StoreError
from metta_sweep.records import RunRow, Store, TrialRow
from metta_sweep.testing.store_families import StoreFamilies
from metta_sweep.testing.store_samples import RUN, make_checkpoint, make_record, make_row, refused

__all__ = ["StoreConformance", "make_record", "make_row"]


class StoreConformance(StoreFamilies):
    """Subclass it in a test file, name the class ``Test...`` and say how a store is made; pytest runs the rest.

    Example:
        ```python
        class TestMyStore(StoreConformance):
            def make_store(self) -> Store:
                return MyStore()
        ```
    """

    store: Store

    def make_store(self) -> Store:
        """A new store that holds nothing. Closed after each test."""
        raise NotImplementedError

    def setup_method(self) -> None:
        """A store for each test, with one run that it drives."""
        self.store = self.make_store()
        self.store.create_run(RunRow(RUN, "digits", 1.5, ("vision", "quick")))
        self.store.acquire(RUN)

    def teardown_method(self) -> None:
        """Let go of it."""
        self.store.close()

    # -- runs --------------------------------------------------------------------------------------------------------------------

    def test_a_run_is_found_by_its_name_and_by_its_id(self) -> None:
        """Both give the row that was created; another name gives None."""
        row = RunRow(RUN, "digits", 1.5, ("vision", "quick"))
        assert self.store.find_run("digits") == row
        assert self.store.find_run(RUN) == row
        assert self.store.find_run("letters") is None

    def test_a_run_without_a_name_is_found_by_its_id(self) -> None:
        """Unnamed runs are kept too, any number of them."""
        self.store.create_run(RunRow("a-1", None, 2.0))
        self.store.create_run(RunRow("a-2", None, 3.0))
        assert self.store.find_run("a-2") == RunRow("a-2", None, 3.0)

    def test_runs_are_listed_oldest_first(self) -> None:
        """In the order of their creation."""
        self.store.create_run(RunRow("a", None, 0.5))
        assert [row.run_id for row in self.store.runs()] == [RUN, "a"]

    def test_names_and_ids_are_unique(self) -> None:
        """A second run of the same id or name is refused, and so is the name of one that is another's id."""
        for row in (RunRow(RUN, "other", 0.0), RunRow("other", "digits", 0.0), RunRow("other", RUN, 0.0)):
            with refused(StoreError):
                self.store.create_run(row)
        assert len(self.store.runs()) == 1

    def test_a_renamed_run_has_its_new_name_only(self) -> None:
        """The old name is free again; a name that is taken is refused."""
        self.store.rename_run(RUN, "digits@1")
        assert self.store.find_run("digits") is None
        self.store.create_run(RunRow("digits-2", "digits", 2.0))
        with refused(StoreError):
            self.store.rename_run(RUN, "digits")
        found = self.store.find_run("digits@1")
        assert found is not None
        assert found.run_id == RUN

    def test_an_unknown_run_is_refused(self) -> None:
        """Everything that takes the id of a run says so when there is none."""
        with refused(StoreError):
            self.store.acquire("none")
        with refused(StoreError):
            self.store.append("none", [make_record(0)])
        with refused(StoreError):
            list(self.store.records("none"))
        with refused(StoreError):
            self.store.end_of("none")
        with refused(StoreError):
            list(self.store.trial_rows("none"))
        with refused(StoreError):
            self.store.get_checkpoint("none", "a")

    def test_a_run_has_one_driver(self) -> None:
        """A second one is refused until the first lets go."""
        with refused(RunInUse):
            self.store.acquire(RUN)
        self.store.release(RUN)
        self.store.acquire(RUN)

    def test_a_run_begins_with_its_driver_and_its_first_records(self) -> None:
        """It is found, driven and has its journal at once, and goes on as one that was created and acquired."""
        row = RunRow("begun", "letters", 2.5)
        self.store.begin_run(row, [make_record(0), make_record(1)])
        assert self.store.find_run("letters") == row
        with refused(RunInUse):
            self.store.acquire("begun")
        assert list(self.store.records("begun")) == [make_record(0), make_record(1)]
        self.store.append("begun", [make_record(2)])
        assert self.store.end_of("begun") == 3
        self.store.release("begun")
        self.store.acquire("begun")
        self.store.append("begun", [make_record(3)])
        assert self.store.end_of("begun") == 4

    def test_a_run_that_cannot_begin_leaves_nothing(self) -> None:
        """A name or an id that is taken, and records that begin no journal, are refused; the name stays free."""
        for row in (RunRow(RUN, "other", 0.0), RunRow("other", "digits", 0.0), RunRow("other", RUN, 0.0)):
            with refused(StoreError):
                self.store.begin_run(row)
        with refused(StoreError):
            self.store.begin_run(RunRow("late", "letters", 0.0), [make_record(0), make_record(2)])
        assert [row.run_id for row in self.store.runs()] == [RUN]
        self.store.begin_run(RunRow("late", "letters", 0.0))
        assert self.store.end_of("late") == 0

    def test_letting_go_twice_does_nothing(self) -> None:
        """A driver may end more than once."""
        self.store.release(RUN)
        self.store.release(RUN)

    # -- the journal -------------------------------------------------------------------------------------------------------------

    def test_what_was_appended_is_read_in_order(self) -> None:
        """Every field comes back as it was given."""
        written = [make_record(0, 0), make_record(0, 3, b"[1,2,3]"), make_record(3), make_record(4, 2, b"\xff\x00")]
        self.store.append(RUN, written[:1])
        self.store.append(RUN, written[1:])
        assert list(self.store.records(RUN)) == written

    def test_the_end_is_the_number_of_the_next_event(self) -> None:
        """0 for an empty journal; records without events do not move it."""
        assert self.store.end_of(RUN) == 0
        self.store.append(RUN, [make_record(0, 0)])
        assert self.store.end_of(RUN) == 0
        self.store.append(RUN, [make_record(0, 3), make_record(3)])
        assert self.store.end_of(RUN) == 4
        self.store.release(RUN)
        assert self.store.end_of(RUN) == 4

    def test_reading_begins_at_the_record_that_holds_the_event(self) -> None:
        """Or at the first one after it; records without events count as lying before the event of their number."""
        note = make_record(3, 0)
        written = [make_record(0, 3), note, make_record(3, 2), make_record(5)]
        self.store.append(RUN, written)
        expected = {-1: 0, 0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 3, 6: 4}
        assert {start: 4 - len(list(self.store.records(RUN, start))) for start in expected} == expected

    def test_records_of_one_kind_are_read_apart(self) -> None:
        """From any event on, in order, over more than a page of them."""
        written = [record for seq in range(600) for record in (make_record(seq, 0), make_record(seq))]
        self.store.append(RUN, written)
        assert list(self.store.records(RUN, kind="start")) == written[::2]
        assert list(self.store.records(RUN, 300, kind="start")) == written[600::2]
        assert list(self.store.records(RUN, 300, kind="events")) == written[601::2]
        assert list(self.store.records(RUN, kind="none")) == []

    def test_a_journal_of_many_records_is_read_whole(self) -> None:
        """However it is read in pages, from wherever it begins; notes at the border of pages are given once."""
        written = [record for seq in range(700) for record in (make_record(seq, 0), make_record(seq))]
        self.store.append(RUN, written)
        assert list(self.store.records(RUN)) == written
        assert list(self.store.records(RUN, 333)) == written[666:]

    def test_what_is_appended_while_it_is_read_may_be_seen_and_breaks_nothing(self) -> None:
        """A reader sees a prefix of the history."""
        self.store.append(RUN, [make_record(seq) for seq in range(600)])
        reading = self.store.records(RUN)
        first = next(reading)
        self.store.append(RUN, [make_record(600)])
        seen = [first, *reading]
        assert [record.seq for record in seen] in ([*range(600)], [*range(601)])

    def test_a_record_that_does_not_continue_the_journal_is_refused(self) -> None:
        """With a gap, or over what is there; nothing of its batch is kept, rows included."""
        self.store.append(RUN, [make_record(0)])
        for records in ([make_record(2)], [make_record(0)], [make_record(1), make_record(3)]):
            with refused(StoreError):
                self.store.append(RUN, records, [make_row(0)])
        assert list(self.store.records(RUN)) == [make_record(0)]
        assert list(self.store.trial_rows(RUN)) == []
        self.store.append(RUN, [make_record(1)])

    def test_runs_do_not_see_each_other(self) -> None:
        """Each has its own numbers, rows and checkpoints."""
        self.store.create_run(RunRow("b", None, 2.0))
        self.store.acquire("b")
        self.store.append(RUN, [make_record(0)], [make_row(0)])
        self.store.append("b", [make_record(0, 2)], [make_row(7, "x")])
        self.store.put_checkpoint("b", make_checkpoint("train", b"1"))
        assert (self.store.end_of(RUN), self.store.end_of("b")) == (1, 2)
        assert [row.number for row in self.store.trial_rows(RUN)] == [0]
        assert self.store.trial_row(RUN, "x") is None
        assert self.store.get_checkpoint(RUN, "train") is None

    # -- the projection ----------------------------------------------------------------------------------------------------------

    def test_rows_come_by_number(self) -> None:
        """In order, within the bounds, every field as it was given."""
        rows = [make_row(5, "five"), make_row(0, score=None, state="failed"), make_row(2, "7"), make_row(7)]
        self.store.append(RUN, [make_record(0)], rows)
        by_number = sorted(rows)
        assert list(self.store.trial_rows(RUN)) == by_number
        assert [row.number for row in self.store.trial_rows(RUN, 1, 6)] == [2, 5]
        assert list(self.store.trial_rows(RUN, 8)) == []

    def test_a_row_is_found_by_the_id_of_its_trial(self) -> None:
        """Ids that are numbers are those of their own trial and not of the one with that number."""
        self.store.append(RUN, [make_record(0)], [make_row(0), make_row(1, "7"), make_row(2, "x-f1"), make_row(3, "007")])
        for trial_id, number in (("0", 0), ("7", 1), ("x-f1", 2), ("007", 3)):
            found = self.store.trial_row(RUN, trial_id)
            assert found is not None
            assert found.number == number
        assert [self.store.trial_row(RUN, name) for name in ("1", "2", "00", "", "-1", "9" * 30)] == [None] * 6

    def test_a_row_can_be_set_again(self) -> None:
        """The last one holds."""
        self.store.append(RUN, [make_record(0)], [make_row(0, score=0.1)])
        self.store.append(RUN, [make_record(1)], [make_row(0, score=0.9)])
        assert list(self.store.trial_rows(RUN)) == [make_row(0, score=0.9)]

    def test_many_rows_are_read_whole(self) -> None:
        """However they are read in pages."""
        rows = [make_row(number) for number in range(0, 1400, 2)]
        self.store.append(RUN, [make_record(0)], rows)
        assert list(self.store.trial_rows(RUN)) == rows

    def test_extreme_numbers_and_texts_come_back(self) -> None:
        """Infinite and tiny scores, empty and long texts, any alphabet."""
        rows = [
            TrialRow(number, name, branch, "completed", score, 1, None, b"")
            for number, (name, branch, score) in enumerate(
                [("", "", float("inf")), ("a" * 5000, None, float("-inf")), ("プローブ'; --", "é", 5e-324), ("x", "None", -0.0)]
            )
        ]
        self.store.append(RUN, [make_record(0, payload=b"x" * 3_000_000)], rows)
        assert list(self.store.trial_rows(RUN)) == rows
        assert len(next(self.store.records(RUN)).payload) == 3_000_000

    # -- checkpoints -------------------------------------------------------------------------------------------------------------

    def test_a_checkpoint_comes_back(self) -> None:
        """At its address, and only there."""
        kept = make_checkpoint("tasks[3]/train[item=7]", b'{"x":1}')
        self.store.put_checkpoint(RUN, kept)
        assert self.store.get_checkpoint(RUN, kept.address) == kept
        assert self.store.get_checkpoint(RUN, "tasks[3]/train") is None

    def test_the_last_checkpoint_at_an_address_holds(self) -> None:
        """It replaces what was kept there."""
        self.store.put_checkpoint(RUN, make_checkpoint("train", b"1"))
        self.store.put_checkpoint(RUN, make_checkpoint("train", b"2"))
        assert self.store.get_checkpoint(RUN, "train") == make_checkpoint("train", b"2")

    def test_addresses_of_checkpoints_are_listed(self) -> None:
        """Those of one run, sorted, each once."""
        self.store.create_run(RunRow("b", None, 2.0))
        self.store.acquire("b")
        self.store.put_checkpoint("b", make_checkpoint("other", b"1"))
        for address in ("train", "loop[10]/fit", "train", "loop[9]/fit"):
            self.store.put_checkpoint(RUN, make_checkpoint(address, b"1"))
        assert list(self.store.checkpoint_addresses(RUN)) == ["loop[10]/fit", "loop[9]/fit", "train"]
        with refused(StoreError):
            self.store.checkpoint_addresses("none")

    # -- the cache and files -----------------------------------------------------------------------------------------------------

    def test_cache_entries_come_back(self) -> None:
        """Under their key, whichever run asks; the last one under a key holds."""
        assert self.store.get_cache("k") is None
        self.store.put_cache("k", b"1")
        self.store.put_cache("k", b'{"x":2}')
        self.store.put_cache("j", b"")
        assert (self.store.get_cache("k"), self.store.get_cache("j")) == (b'{"x":2}', b"")

    def test_files_have_one_folder(self) -> None:
        """The same whenever it is asked for, and one in which files can be made."""
        folder = self.store.artifact_folder()
        folder.mkdir(exist_ok=True)
        (folder / "file").write_bytes(b"x")
        assert (self.store.artifact_folder() / "file").read_bytes() == b"x"

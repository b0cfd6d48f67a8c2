"""The suite that every record store passes: each sentence of the port is a test.

A store's test module subclasses `RecordStoreContract` and supplies the fixture `store`: opened, prepared, empty,
and closed afterwards.
"""

from tests.unit.contracts.commits import CommitContract, GuardContract, TombstoneContract
from tests.unit.contracts.concurrency import ConcurrencyContract, OwnershipContract
from tests.unit.contracts.mirroring import ApplyContract, LateReplayContract, MarkContract
from tests.unit.contracts.ordering import OrderContract, PageContract, ScanContract
from tests.unit.contracts.questions import CriteriaContract, FetchContract
from tests.unit.contracts.search_table import SearchTableContract
from tests.unit.contracts.searching import HasWordsContract, RelevanceContract, ScriptContract
from tests.unit.contracts.unique_keys import UniqueKeyContract
from tests.unit.contracts.validation import ValidationContract
from tests.unit.contracts.values import LimitContract, ScalarContract, TextContract, TreeContract


class StateContract(
    CommitContract,
    GuardContract,
    TombstoneContract,
    UniqueKeyContract,
    ApplyContract,
    LateReplayContract,
    MarkContract,
    FetchContract,
    OrderContract,
    PageContract,
    ScanContract,
    TextContract,
    ScalarContract,
    TreeContract,
    LimitContract,
    ValidationContract,
    ConcurrencyContract,
    OwnershipContract,
):
    """What is written, what is read back, and in which order.

    A store that hands questions on to another one as they are passes this: which records fit is the other's answer, and
    the other passes all of the contract.
    """


class QuestionContract(
    CriteriaContract, HasWordsContract, ScriptContract, RelevanceContract, SearchTableContract
):
    """Which records fit a question."""


class RecordStoreContract(StateContract, QuestionContract):
    """Everything a record store promises."""

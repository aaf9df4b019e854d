"""Council tax and payments, version 1. After Academy and Northgate accounts and councils' payment files.

Bands are those of the Local Government Finance Act 1992 (A to H in England, A to I in Wales). An account's number
leads to who lives where: it is personal, and an HMAC of it stands in key and subject. Names and addresses stay in
the council's system. One payment file serves several funds, so payments of other funds are events of this family too.
"""

from typing import Annotated, ClassVar, Literal

from schemas.counciltax import examples
from schemas.shared import (
    CaseRef,
    Classification,
    CodedValue,
    DateText,
    Event,
    Example,
    Money,
    by_class,
    chosen,
    facts,
    marked,
)

AccountRef = Annotated[
    CaseRef, marked("personal", "resident", "The account, as the owning system calls it; keyed by HMAC")
]
IntoAccountRef = Annotated[CaseRef, marked("personal", "resident", "The account that goes on")]

State = Literal["open", "closed", "received", "reversed"]
STATES: dict[str, str] = {
    "open": "Somebody is liable",
    "closed": "Nobody is liable any more",
    "received": "The council has the money",
    "reversed": "The money was given back or never came, as with a returned cheque",
}

Band = Literal["A", "B", "C", "D", "E", "F", "G", "H", "I"]
BANDS: dict[str, str] = {
    band: f"Valuation band {band}{', in Wales only' if band == 'I' else ''}" for band in "ABCDEFGHI"
}

Fund = Literal["council_tax", "business_rates", "rents", "benefits_overpayment", "other"]
FUNDS: dict[str, str] = {
    "council_tax": "Council tax",
    "business_rates": "Non-domestic rates",
    "rents": "Rents of the council's homes",
    "benefits_overpayment": "Benefit that was paid and is owed back",
    "other": "Another fund, or money that waits to be placed",
}

Method = Literal[
    "direct_debit",
    "standing_order",
    "bank_transfer",
    "card",
    "cash",
    "cheque",
    "post_office",
    "paypoint",
    "payzone",
    "phone",
    "online",
    "benefit_deduction",
    "earnings_attachment",
    "cash_adjustment",
    "returned_cheque",
    "other",
]
METHODS: dict[str, str] = {
    "direct_debit": "Direct debit",
    "standing_order": "Standing order",
    "bank_transfer": "Transfer or giro",
    "card": "Card, where the source does not say how it was used",
    "cash": "Cash at a council office",
    "cheque": "Cheque",
    "post_office": "Cash at a post office",
    "paypoint": "PayPoint shop",
    "payzone": "Payzone shop",
    "phone": "By telephone or at a desk",
    "online": "On a web page",
    "benefit_deduction": "Taken by the DWP from a benefit: tells that the payer is on benefit",
    "earnings_attachment": "Taken by an employer from wages, by order of a court",
    "cash_adjustment": "A correction by a cashier",
    "returned_cheque": "A cheque that came back unpaid: a reversal",
    "other": "A way that the list does not name",
}


class AccountEvent(Event):
    """Fields that the events about an account share."""

    family: ClassVar[str] = "counciltax"
    classification: ClassVar[Classification] = "official-sensitive"

    case_ref: AccountRef
    account_ref: Annotated[CaseRef, marked("personal", "resident", "The account's number; equals `case_ref`")]
    property_ref: Annotated[CaseRef | None, marked("personal", "resident", "The property, by the tax system")] = None
    band: Annotated[Band | None, marked("none", description="Valuation band", values=BANDS)] = None
    discounts: Annotated[
        tuple[CodedValue, ...] | None,
        marked("special", "resident", "Discounts and exemptions; some tell of a disability or mental impairment"),
    ] = None
    starts_on: Annotated[DateText | None, marked("none", description="First day of the liability")] = None
    ends_on: Annotated[DateText | None, marked("none", description="Last day of the liability")] = None


class AccountOpened(AccountEvent):
    """Somebody became liable. Sent when the source first shows the account."""

    fact: ClassVar[str] = "account-opened"
    state: Annotated[Literal["open"], marked("none", description="Always `open`", values=chosen(STATES, "open"))] = (
        "open"
    )


class LiabilityChanged(AccountEvent):
    """Property, band, discounts or days of a liability changed; the event holds them as they are now."""

    fact: ClassVar[str] = "liability-changed"
    state: Annotated[Literal["open"], marked("none", description="Always `open`", values=chosen(STATES, "open"))] = (
        "open"
    )
    reason: Annotated[CodedValue | None, marked("personal", "resident", "Why; the council's code")] = None


class AccountClosed(AccountEvent):
    """The last liability of the account ended."""

    fact: ClassVar[str] = "account-closed"
    state: Annotated[
        Literal["closed"], marked("none", description="Always `closed`", values=chosen(STATES, "closed"))
    ] = "closed"


class PaymentEvent(Event):
    """Fields that the events about a payment share."""

    family: ClassVar[str] = "counciltax"
    classification: ClassVar[Classification] = "official-sensitive"

    case_ref: AccountRef
    account_ref: Annotated[CaseRef, marked("personal", "resident", "The account's number; equals `case_ref`")]
    fund: Annotated[Fund, marked("none", description="Which fund the money is for", values=FUNDS)]
    amount: Annotated[Money, marked("personal", "resident", "How much; a reversal is negative")]
    method: Annotated[
        Method | None, marked("personal", "resident", "How it was paid", values=METHODS, open_list=True)
    ] = None
    paid_on: Annotated[DateText | None, marked("none", description="Day of the payment, as the payer's side says")] = (
        None
    )


class PaymentReceived(PaymentEvent):
    """Money came in for an account. Two equal lines of a payment file are two payments."""

    fact: ClassVar[str] = "payment-received"
    state: Annotated[
        Literal["received"], marked("none", description="Always `received`", values=chosen(STATES, "received"))
    ] = "received"


class PaymentReversed(PaymentEvent):
    """Money that was received was given back, or never came."""

    fact: ClassVar[str] = "payment-reversed"
    state: Annotated[
        Literal["reversed"], marked("none", description="Always `reversed`", values=chosen(STATES, "reversed"))
    ] = "reversed"
    reason: Annotated[CodedValue | None, marked("personal", "resident", "Why; the council's code")] = None


class Revoked(facts.Revoked):
    """An earlier council tax event should not have been sent."""

    family: ClassVar[str] = "counciltax"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: AccountRef


class Superseded(facts.Superseded):
    """An earlier council tax event was wrong; its correction follows."""

    family: ClassVar[str] = "counciltax"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: AccountRef


class Merged(facts.Merged):
    """Two accounts are one."""

    family: ClassVar[str] = "counciltax"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: AccountRef
    into_case_ref: IntoAccountRef


class Erased(facts.Erased):
    """The personal data of an account is gone."""

    family: ClassVar[str] = "counciltax"
    classification: ClassVar[Classification] = "official-sensitive"
    case_ref: AccountRef


EVENTS: tuple[type[Event], ...] = (
    AccountOpened, LiabilityChanged, AccountClosed, PaymentReceived, PaymentReversed,
    Revoked, Superseded, Merged, Erased,
)  # fmt: skip

EXAMPLES: dict[type[Event], Example] = by_class(EVENTS, examples.EXAMPLES)

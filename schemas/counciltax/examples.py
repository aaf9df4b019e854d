"""Synthetic examples of council tax accounts and payments, and of other homes and ways to pay."""

from schemas.shared.examples import Data, Example, facts

_SHARED: Data = {
    "case_ref": "770099001",
    "organisation": "E09000099",
    "occurred_at": "2031-06-30T00:00:00Z",
}
_MINIMAL: Data = {**_SHARED, "account_ref": "770099001"}
_FULL: Data = {
    **_MINIMAL,
    "external_refs": [{"system": "income", "value": "RCPT-990017"}],
    "logged_at": "2031-07-01T05:10:00Z",
    "location": {"uprn": "100000000001"},
    "lgsl": 57,
}
_ACCOUNT: Data = {
    **_FULL,
    "source_status": {"code": "L", "label": "Live"},
    "property_ref": "000990000017",
    "band": "D",
    "discounts": [{"code": "SPD", "label": "One adult lives there"}],
    "starts_on": "2031-06-30",
}
_PAID: Data = {"fund": "council_tax", "amount": {"amount_minor": 14350, "currency": "GBP"}}
_PAYMENT: Data = {
    **_FULL,
    **_PAID,
    "source_status": {"code": "T", "label": "PayPoint"},
    "method": "paypoint",
    "paid_on": "2031-06-30",
}
_BACK: Data = {"fund": "council_tax", "amount": {"amount_minor": -14350, "currency": "GBP"}}

EXAMPLES: dict[str, Example] = {
    "AccountOpened": Example(_MINIMAL, _ACCOUNT),
    "LiabilityChanged": Example(_MINIMAL, {**_ACCOUNT, "reason": {"code": "BAND", "label": "New band"}}),
    "AccountClosed": Example(
        _MINIMAL, {**_ACCOUNT, "source_status": {"code": "C", "label": "Closed"}, "ends_on": "2031-06-30"}
    ),
    "PaymentReceived": Example({**_MINIMAL, **_PAID}, _PAYMENT),
    "PaymentReversed": Example(
        {**_MINIMAL, **_BACK},
        {
            **_PAYMENT,
            **_BACK,
            "source_status": {"code": "Q", "label": "Returned cheque"},
            "method": "returned_cheque",
            "reason": {"code": "RD", "label": "Refer to drawer"},
        },
    ),
    **facts(_SHARED, "770099002"),
}

VARIATIONS: tuple[Data, ...] = (
    {},
    {"band": "B", "discounts": None},
    {"band": "F", "discounts": [{"code": "STU", "label": "Students only"}]},
    {"band": "A", "discounts": [{"code": "SMI", "label": "Severe mental impairment"}]},
)

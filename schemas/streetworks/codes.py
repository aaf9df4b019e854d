"""The code lists of DfT Street Manager, word for word, with what each value means.

From Street Manager's API specification and event notifications; the offences are those of the New Roads and Street
Works Act 1991 and the Traffic Management Permit Scheme (England) Regulations 2007.
"""

from typing import Literal

PermitStatus = Literal[
    "submitted",
    "granted",
    "permit_modification_request",
    "refused",
    "closed",
    "cancelled",
    "revoked",
    "progressed",
]
PERMIT_STATUSES: dict[str, str] = {
    "submitted": "Asked for; the authority has not decided",
    "granted": "The works may take place as described",
    "permit_modification_request": "The authority asks for changes before it decides",
    "refused": "The authority said no",
    "closed": "The works are done",
    "cancelled": "Taken back by the promoter",
    "revoked": "Taken away by the authority",
    "progressed": "Gone on as a permit application, from an advance authorisation",
}

WorkStatus = Literal[
    "planned",
    "in_progress",
    "completed",
    "cancelled",
    "unattributable",
    "historical",
    "non_notifiable",
    "section_81",
]
WORK_STATUSES: dict[str, str] = {
    "planned": "Not begun",
    "in_progress": "Begun and not ended",
    "completed": "Ended",
    "cancelled": "Not going to happen",
    "unattributable": "Found on the street; nobody knows whose they are",
    "historical": "From before Street Manager",
    "non_notifiable": "Works that need no permit",
    "section_81": "About apparatus that is badly maintained (1991 Act, section 81)",
}

WorkCategory = Literal[
    "minor", "standard", "major", "immediate_urgent", "immediate_emergency", "paa", "hs2_highway"
]  # fmt: skip
WORK_CATEGORIES: dict[str, str] = {
    "minor": "Three days or fewer",
    "standard": "Four to ten days",
    "major": "Eleven days or more, planned long ahead, or with a traffic order",
    "immediate_urgent": "Cannot wait, though nobody is in danger",
    "immediate_emergency": "To end or prevent danger",
    "paa": "Provisional advance authorisation for major works",
    "hs2_highway": "Highway works for High Speed 2",
}

TrafficManagement = Literal[
    "road_closure",
    "contra_flow",
    "lane_closure",
    "multi_way_signals",
    "two_way_signals",
    "convoy_workings",
    "stop_go_boards",
    "priority_working",
    "give_and_take",
    "some_carriageway_incursion",
    "no_carriageway_incursion",
]
TRAFFIC_MANAGEMENT: dict[str, str] = {
    "road_closure": "The road is closed",
    "contra_flow": "Traffic of one direction uses the other carriageway",
    "lane_closure": "A lane is closed",
    "multi_way_signals": "Signals for three or more ways",
    "two_way_signals": "Signals for two ways",
    "convoy_workings": "Traffic is led through in convoys",
    "stop_go_boards": "Somebody turns a stop and go board",
    "priority_working": "Signs give one direction priority",
    "give_and_take": "Drivers sort it out by sight",
    "some_carriageway_incursion": "The works take some of the carriageway; traffic flows",
    "no_carriageway_incursion": "The works leave the carriageway free",
}

InspectionType = Literal["live_site", "reinstatement", "non_compliance_follow_up", "section_81"]
INSPECTION_TYPES: dict[str, str] = {
    "live_site": "While the works go on",
    "reinstatement": "Of the surface after the works",
    "non_compliance_follow_up": "Whether what was wrong has been put right",
    "section_81": "Of apparatus that is badly maintained",
}

InspectionOutcome = Literal[
    "passed",
    "unable_to_complete_inspection",
    "failed_low",
    "failed_high",
    "further_inspections_required",
    "agreed_site_compliance",
    "non_compliant_with_conditions",
    "works_stopped_apparatus_remaining",
    "works_in_progress_no_carriageway_incursion",
    "works_in_progress",
    "works_stopped",
]
INSPECTION_OUTCOMES: dict[str, str] = {
    "passed": "Nothing is wrong",
    "unable_to_complete_inspection": "It could not be inspected",
    "failed_low": "Something is wrong, without danger",
    "failed_high": "Something dangerous is wrong",
    "further_inspections_required": "Somebody has to come again",
    "agreed_site_compliance": "Authority and promoter agree that it is right now",
    "non_compliant_with_conditions": "A condition of the permit is not kept",
    "works_stopped_apparatus_remaining": "Nobody works, and something of the works is left",
    "works_in_progress_no_carriageway_incursion": "Work goes on and leaves the carriageway free",
    "works_in_progress": "Work goes on",
    "works_stopped": "Nobody works, and nothing is left",
}

FixedPenaltyStatus = Literal["issued", "accepted", "paid", "paid_discounted", "disputed", "withdrawn"]
FIXED_PENALTY_STATUSES: dict[str, str] = {
    "issued": "Given to the promoter",
    "accepted": "The promoter accepts it",
    "paid": "Paid in full",
    "paid_discounted": "Paid early, with the discount",
    "disputed": "The promoter disagrees",
    "withdrawn": "Taken back by the authority",
}

OffenceCode = Literal["offence_code_05", "offence_code_06", "offence_code_08", "offence_code_09"]
OFFENCE_CODES: dict[str, str] = {
    "offence_code_05": "No notice of emergency works (1991 Act, section 57(4))",
    "offence_code_06": "No notice of reinstatement (1991 Act, section 70(6))",
    "offence_code_08": "Works without a permit (2007 Regulations, regulation 19)",
    "offence_code_09": "A condition of the permit was not kept (2007 Regulations, regulation 20)",
}

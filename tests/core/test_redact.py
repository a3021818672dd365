"""What is struck out of a text before it is written down or sent."""

from pathlib import Path

import pytest

from rlhf_lab.core.redact import for_others, without_secrets

SECRETS = [
    "hf_" + "aB3" * 11,
    "ghp_" + "x1" * 18,
    "github_pat_" + "11ABC_" * 5,
    "sk-proj-" + "abcDEF123" * 4,
    "xoxb-1234567890-abcdef",
    "AKIA" + "ABCDEFGH12345678",
    "AIza" + "Sy_1-" * 8,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_token_is_struck_out_by_its_shape_wherever_it_stands(secret: str) -> None:
    for text in (secret, f"401 for {secret}.", f'{{"a": "{secret}"}}', f"https://x.org/?q={secret}&r=1", f"({secret})"):
        assert secret not in without_secrets(text, {})
        assert "<token>" in without_secrets(text, {})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abcdefgh", "Authorization: Bearer <token>"),
        ("token=abcdef&page=2", "token=<token>&page=2"),
        ("{'api_key': 'abcdef'}", "{'api_key': '<token>'}"),
        ('password = "hunter22"', 'password = "<token>"'),
        ("https://ada:lovelace@host/x", "https://<token>@host/x"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a <token> b"),
    ],
)
def test_a_secret_is_struck_out_by_what_it_is_called(text: str, left: str) -> None:
    assert without_secrets(text, {}) == left


def test_this_processes_own_secrets_are_struck_out_whatever_they_look_like() -> None:
    environment = {
        "MY_REGISTRY_TOKEN": "correct horse",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_TOKEN_PATH": "/etc/token",
    }
    assert without_secrets("the correct horse is false, see /etc/token", environment) == (
        "the <token> is false, see /etc/token"
    )


@pytest.mark.parametrize(
    "text",
    [
        "max_new_tokens=512, tokens: 12",
        "step 3 of 40, kl 0.1, hf_hub 1.2",
        "The policy's score is 0.4; it doesn't end.",
        "sha256 " + "ab" * 32,
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text, {}) == text


def test_others_see_no_data_and_no_place_of_this_machine(tmp_path: Path) -> None:
    project = tmp_path / "My patients"
    home = Path.home()
    text = "\n".join(
        [
            f"dataset: there is no data set 'Mrs Smith' in {project}/lab.sqlite",
            f'KeyError: "her diagnosis" in {home}/notes/smith.jsonl, line 3',
            r"cannot read C:\Users\ada\secret.csv or ~/plans.txt, 3 of 4 rows",
            "ValueError: could not convert string to float: 'it\\'s private",
            f"{Path(__file__).parents[2]}/rlhf_lab/cli.py:12 main",
            "token=abcdef",
        ]
    )
    assert for_others(text, project, {}).splitlines() == [
        "dataset: there is no data set '…' in <project>/lab.sqlite",
        'KeyError: "…" in <path>, line 3',
        "cannot read <path> or <path>, 3 of 4 rows",
        "ValueError: could not convert string to float: '…'",
        "<program>/rlhf_lab/cli.py:12 main",
        "token=<token>",
    ]

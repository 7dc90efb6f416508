"""spec.data: where rows come from, and who judges them.

id -> spec; of refused ones, the path of the field that is named first."""

from typing import Any

from manifests import code_set, dataset

ACCEPTED: dict[str, dict[str, Any]] = {
    "logic-with-math-verify": {
        "data": {"train": [dataset(uri="file:///x.jsonl", verifier="math-verify")]}
    },
    "stem-from-a-file": {"data": {"train": [dataset(domain="stem", uri="file:///x.jsonl")]}},
    "instruction-from-a-file": {
        "data": {"train": [dataset(domain="instruction", uri="pvc://claim/x.parquet")]}
    },
    "instruction-from-a-gym": {"data": {"train": [dataset(domain="instruction")]}},
    "code-from-a-gym": {"data": {"train": [dataset(domain="code")]}},
    "code-from-a-file": {"data": {"train": [code_set(uri="file:///x.parquet")]}},
    "pinned-hf-data": {
        "data": {
            "train": [code_set(uri="hf://datasets/o/n/data/train-*.parquet", revision="a" * 40)]
        }
    },
    "http-data-with-hash": {"data": {"train": [code_set(uri="http://h/x.jsonl", sha256="a" * 64)]}},
    "https-data-with-a-query": {
        "data": {"train": [code_set(uri="https://h:8443/x.jsonl?v=1&w=2")]}
    },
    "verl-layout-with-an-own-column": {
        "data": {
            "train": [
                code_set(uri="s3://bucket/x.parquet", layout="verl", columns={"prompt": "a b.c-d"})
            ],
            "credentialsSecret": "s3.keys",
            "onOverlap": "Drop",
        }
    },
    "prompt-as-it-is": {"data": {"train": [dataset(chatTemplate="None")]}},
    "system-prompt": {"data": {"train": [dataset(systemPrompt="Think.")]}},
    "logic-with-stem": {"data": {"train": [dataset(uri="file:///x.jsonl", verifier="stem")]}},
    "custom-verifier-of-a-gym": {"data": {"train": [dataset(verifier="own-1")]}},
    "custom-verifier-with-meta": {
        "data": {
            "train": [
                dataset(
                    uri="file:///x.jsonl", verifier="own", columns={"meta": ["data_source", "b c"]}
                )
            ]
        }
    },
    "stem-with-instruction": {
        "data": {"train": [dataset(domain="stem", uri="file:///x.jsonl", verifier="instruction")]}
    },
    "math-from-a-file": {"data": {"train": [dataset(domain="math", uri="file:///x.jsonl")]}},
    "validation": {"data": {"train": [dataset()], "validation": {"sets": [dataset(name="b")]}}},
    "pass-k": {
        "data": {
            "train": [dataset()],
            "validation": {"samplesPerPrompt": 8, "passK": [1, 8], "sets": [dataset(name="b")]},
        }
    },
}

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "pass-k-over-the-samples": (
        "spec.data.validation.passK",
        {
            "data": {
                "train": [dataset()],
                "validation": {"samplesPerPrompt": 4, "passK": [1, 8], "sets": [dataset(name="b")]},
            }
        },
    ),
    "no-pass-k": (
        "spec.data.validation.passK",
        {
            "data": {
                "train": [dataset()],
                "validation": {"passK": [], "sets": [dataset(name="b")]},
            }
        },
    ),
    "no-data": ("spec.data.train", {"data": {}}),
    "empty-train": ("spec.data.train", {"data": {"train": []}}),
    "same-name-twice": ("spec.data.train[1]", {"data": {"train": [dataset(), dataset()]}}),
    "same-name-in-validation": (
        "spec.data",
        {"data": {"train": [dataset()], "validation": {"sets": [dataset()]}}},
    ),
    "set-name": ("spec.data.train[0].name", {"data": {"train": [dataset(name="A b")]}}),
    "domain": ("spec.data.train[0].domain", {"data": {"train": [dataset(domain="art")]}}),
    "logic-from-a-file": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(uri="file:///x.jsonl")]}},
    ),
    "instruction-verifier-for-a-gym": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(verifier="instruction")]}},
    ),
    "gym-verifier-for-stem-rows": (
        "spec.data.train[0].verifier",
        {
            "data": {
                "train": [dataset(domain="stem", uri="file:///x.jsonl", verifier="reasoning-gym")]
            }
        },
    ),
    "verifier": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(verifier="My_Judge")]}},
    ),
    "meta-of-a-gym": (
        "spec.data.train[0].layout",
        {"data": {"train": [dataset(verifier="own", columns={"meta": ["a"]})]}},
    ),
    "gym-verifier-for-a-file": (
        "spec.data.validation.sets[0].verifier",
        {
            "data": {
                "train": [dataset()],
                "validation": {
                    "sets": [
                        dataset(
                            name="b", domain="math", uri="file:///x.jsonl", verifier="reasoning-gym"
                        )
                    ]
                },
            }
        },
    ),
    "data-of-an-unknown-kind": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="pvc://claim/x.csv")]}},
    ),
    "data-with-its-kind-in-the-query": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="https://h/download?name=x.jsonl")]}},
    ),
    "code-verifier-for-a-gym": (
        "spec.data.train[0].verifier",
        {"data": {"train": [dataset(verifier="code")]}},
    ),
    "hf-data-without-revision": (
        "spec.data.train[0].revision",
        {"data": {"train": [code_set(uri="hf://datasets/o/n/x.parquet")]}},
    ),
    "hf-data-at-a-branch": (
        "spec.data.train[0].revision",
        {"data": {"train": [code_set(uri="hf://datasets/o/n/x.parquet", revision="main")]}},
    ),
    "revision-of-a-file": (
        "spec.data.train[0].revision",
        {"data": {"train": [code_set(uri="file:///x.parquet", revision="a" * 40)]}},
    ),
    "http-data-without-hash": (
        "spec.data.train[0].sha256",
        {"data": {"train": [code_set(uri="http://h/x.jsonl")]}},
    ),
    "hash-of-a-gym": ("spec.data.train[0].sha256", {"data": {"train": [dataset(sha256="a" * 64)]}}),
    "hash-in-capitals": (
        "spec.data.train[0].sha256",
        {"data": {"train": [code_set(uri="file:///x.jsonl", sha256="A" * 64)]}},
    ),
    "layout-of-a-gym": ("spec.data.train[0].layout", {"data": {"train": [dataset(layout="verl")]}}),
    "columns-of-a-gym": (
        "spec.data.train[0].layout",
        {"data": {"train": [dataset(columns={"answer": "a"})]}},
    ),
    "layout": ("spec.data.train[0].layout", {"data": {"train": [dataset(layout="openrlhf")]}}),
    "column-with-two-dots": (
        "spec.data.train[0].columns.answer",
        {"data": {"train": [code_set(uri="file:///x.jsonl", columns={"answer": "a..b"})]}},
    ),
    "data-scheme": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="gs://b/k.jsonl")]}},
    ),
    "hf-model-as-data": (
        "spec.data.train[0].uri",
        {"data": {"train": [code_set(uri="hf://o/n/x.jsonl", revision="a" * 40)]}},
    ),
    "chat-template": (
        "spec.data.train[0].chatTemplate",
        {"data": {"train": [dataset(chatTemplate="none")]}},
    ),
    "system-prompt-without-template": (
        "spec.data.train[0].systemPrompt",
        {"data": {"train": [dataset(chatTemplate="None", systemPrompt="Think.")]}},
    ),
    "long-system-prompt": (
        "spec.data.train[0].systemPrompt",
        {"data": {"train": [dataset(systemPrompt="x" * 8193)]}},
    ),
    "on-overlap": ("spec.data.onOverlap", {"data": {"train": [dataset()], "onOverlap": "Warn"}}),
    "secret-name": (
        "spec.data.credentialsSecret",
        {"data": {"train": [dataset()], "credentialsSecret": "a/b"}},
    ),
    "weight": ("spec.data.train[0].weight", {"data": {"train": [dataset(weight=0)]}}),
}

"""The labels, annotations, names and exit codes through which the plugin sees what the other parts made."""

LABEL_RELEASE = "llmkube.dev/release"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_KEY = "llmkube.dev/key"
LABEL_JOB = "job-name"  # Kubernetes' own, on the pods of a Job

ANNOTATION_SOURCE = "llmkube.dev/source"
ANNOTATION_REVISION = "llmkube.dev/revision"
ANNOTATION_CLAIM = "llmkube.dev/claim"
ANNOTATION_MODE = "llmkube.dev/cache-mode"
ANNOTATION_ENTRIES = "llmkube.dev/entries"
ANNOTATION_MADE_BY = "llmkube.dev/made-by"
MADE_BY_PLUGIN = "helm-llmkube"

COMPONENT_CACHE = "cache"
COMPONENT_PRELOAD = "preload"
COMPONENT_SERVER = "server"
COMPONENT_MAINTENANCE = "maintenance"
COMPONENT_ARTIFACTS = "artifacts"

JOB_ENDS = ("Complete", "SuccessCriteriaMet", "Failed", "FailureTarget")  # conditions of a Job that does no more work

MODE_IN_PLACE = "inPlace"  # the model is served from the claim or image where it is

CONTAINER_FETCH = "fetch"
# What a server's pod fetches beside the model, each in an init container whose name begins so.
CONTAINER_FETCH_BESIDE = "fetch-"
CONTAINER_MAINTENANCE = "maintenance"

VOLUME_UPSTREAM = "upstream-"  # how the names of volumes begin whose caches are asked before the origin

VARIABLE_POD_UID = "LLMKUBE_POD_UID"
VARIABLE_LINK = "LLMKUBE_LINK"
VARIABLE_CREDENTIALS = "LLMKUBE_CREDENTIALS"
VOLUME_CREDENTIALS = "credentials"
VOLUME_ENTRIES = "entries"  # where a server's pod has the links to its entries

EXIT_NAMES = {
    0: "ok",
    10: "usage",
    11: "auth",
    12: "not-found",
    13: "integrity",
    14: "no-space",
    15: "volume",
    16: "origin-unavailable",
    17: "rate-limited",
    18: "tls",
    19: "file-system",
    20: "deleted-or-lock-timeout",
    21: "policy",
    143: "terminated",
}
EXIT_INTEGRITY = 13
# Another attempt would only repeat these failures.
FINAL_EXIT_CODES = (10, 11, 12, 14, 18, 19, 21)


def exit_name(code: int) -> str:
    """Return the downloader's name of an exit code, `exit-<code>` for a code that is not one of its own."""
    return EXIT_NAMES.get(code, f"exit-{code}")

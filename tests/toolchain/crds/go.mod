module llmkube.local/toolchain/crds

go 1.26.0

// Not built, only read: `go mod tidy` would drop them.
require (
	github.com/kedacore/keda/v2 v2.21.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)

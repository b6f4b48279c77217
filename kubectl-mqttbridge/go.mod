// The plugin of kubectl, apart from the project's own module: the images of the operator and of
// the runner contain none of its dependencies.
module github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge

go 1.26.0

require (
	github.com/mqttbridge/mqttbridge-operator v0.0.0-00010101000000-000000000000
	github.com/prometheus/client_model v0.6.3
	github.com/prometheus/common v0.72.0
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.10
	golang.org/x/sync v0.23.0
	golang.org/x/term v0.46.0
	k8s.io/api v0.37.2
	k8s.io/apimachinery v0.37.2
	k8s.io/cli-runtime v0.37.2
	k8s.io/client-go v0.37.2
	k8s.io/streaming v0.37.2
	sigs.k8s.io/controller-runtime v0.25.2
	sigs.k8s.io/yaml v1.6.0
)

replace github.com/mqttbridge/mqttbridge-operator => ..

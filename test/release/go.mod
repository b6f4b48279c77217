module github.com/mqttbridge/mqttbridge-operator/test/release

go 1.26.7

require (
	github.com/google/go-containerregistry v0.22.1
	github.com/mqttbridge/mqttbridge-operator v0.0.0-00010101000000-000000000000
	sigs.k8s.io/yaml v1.6.0
)

replace github.com/mqttbridge/mqttbridge-operator => ../..

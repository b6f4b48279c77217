module github.com/mqttbridge/mqttbridge-operator/hack/tools/cyclonedx-gomod

go 1.26.0

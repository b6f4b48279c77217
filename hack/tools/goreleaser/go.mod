module github.com/mqttbridge/mqttbridge-operator/hack/tools/goreleaser

go 1.26.0

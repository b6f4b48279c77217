module github.com/mqttbridge/mqttbridge-operator/hack/tools/actionlint

go 1.26.0

module github.com/mqttbridge/mqttbridge-operator/hack/cluster/pause

go 1.26.0

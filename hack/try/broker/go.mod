// The broker of make try, apart from the project's own module: nothing that is
// delivered depends on it.
module github.com/mqttbridge/mqttbridge-operator/hack/try/broker

go 1.26.0

require github.com/mochi-mqtt/server/v2 v2.7.9

require (
	github.com/gorilla/websocket v1.5.0 // indirect
	github.com/rs/xid v1.4.0 // indirect
)

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package traffic publishes numbered messages to one MQTT server, records the messages that arrive
// from other servers, and compares the two. The report contains acknowledged messages that never
// arrived, duplicates, messages out of order, and the longest time without an arrival.
//
// The package shares no code with the runner: paho.mqtt.golang encodes the packets, and the
// collector is a paho client. The publisher tracks unacknowledged messages itself. A client library
// that reorders or drops messages when it reconnects would look like a fault of the bridge.
//
// The package needs no test framework, so that the demo and the benchmarks can use it, too.
package traffic

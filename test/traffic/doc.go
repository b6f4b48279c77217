// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package traffic sends numbered messages into one MQTT server, records what
// comes out of others, and compares the two: what was acknowledged to the
// publisher and never arrived, what arrived twice, what came out of order, and
// how long nothing came.
//
// It shares no code with the runner: packets are coded by paho.mqtt.golang and
// the collector is a paho client. The publisher keeps its own account of what is
// unacknowledged, because a client library that reorders or drops on a reconnect
// would be taken for a fault of the bridge.
//
// It needs no test framework, so that the demo and the benchmarks use it, too.
package traffic

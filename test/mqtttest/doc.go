// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mqtttest holds what the tests of a running bridge need: real Mosquitto
// brokers that can be killed, frozen and started again, a TCP proxy with delay
// and faults, servers that misbehave, certificates of every kind, and the runner
// as a process of its own.
//
// Nothing here sleeps for a fixed time to let something happen: a broker is ready
// when it answers CONNECT, and the runner's state is read from its /status. All
// of it listens on loopback only, and ends with the test that started it.
package mqtttest

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mqtttest provides the environment for tests of a running bridge: real Mosquitto brokers
// that a test can kill, freeze and start again, a TCP proxy with delay and faults, servers that
// misbehave, certificates of every kind, and the runner as a separate process.
//
// No function sleeps for a fixed time to let something happen: a broker is ready when it answers
// CONNECT, and the runner's state is read from its /status. All listeners are on loopback and end
// with the test that started them.
package mqtttest

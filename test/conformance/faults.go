// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

const allFaults = "cut,refuse,forget,limits,delay,silence,refuseconnect,restart,kill,terminate,switch,disk,maximumqos,disconnect"

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

// OperatorLease is the name of the Lease that the replicas of an operator without a class compete for. With a
// class, the class and a dot precede it.
const OperatorLease = "operator.mqttbridge.io"

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

func init() {
	transport.Explain = func(err error) (reason, message string) {
		p := diagnosis.Of(err)
		return p.Reason, p.Message
	}
}

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// ServerReasons returns the reasons for which an attempt or a probe can fail, or a session can
// end, in alphabetical order.
func ServerReasons() []string {
	out := []string{
		v1alpha1.ReasonReferenceMissing,    // ReferenceMissing
		v1alpha1.ReasonSubscriptionRefused, // session.SubscriptionsRefused
	}
	for _, row := range transportTable {
		out = append(out, row.reason)
	}
	for kind, row := range sessionTable {
		if kind == session.PublishRefused { // the session continues
			continue
		}
		out = append(out, row.reason)
		for _, row := range codeTables[kind] {
			out = append(out, row.reason)
		}
	}
	slices.Sort(out)
	return slices.Clip(slices.Compact(out))
}

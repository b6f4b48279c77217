// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// side is a side of a bridge with its name for users.
type side struct {
	name string
	// status is nil if it is not known.
	status *v1alpha1.SideStatus
}

func (b *Bridge) sides() []side {
	return []side{{"Local side", b.Status.Local}, {"Remote side", b.Status.Remote}}
}

// direction is a direction of a bridge with its name for users.
type direction struct {
	label   string
	id      string
	traffic *report.Traffic
	// backlog is nil if the direction has no buffer on disk, and unforwardable if there is no such message.
	backlog       *v1alpha1.BacklogStatus
	unforwardable *v1alpha1.UnforwardableMessage
}

func (b *Bridge) directions() []direction {
	out := []direction{
		{label: "local to remote", id: report.LocalToRemote, traffic: &b.LocalToRemote},
		{label: "remote to local", id: report.RemoteToLocal, traffic: &b.RemoteToLocal},
	}
	if s := b.Status.Buffer; s != nil {
		out[0].backlog, out[1].backlog = s.LocalToRemote, s.RemoteToLocal
	}
	if s := b.Status.Unforwardable; s != nil {
		out[0].unforwardable, out[1].unforwardable = s.LocalToRemote, s.RemoteToLocal
	}
	return out
}

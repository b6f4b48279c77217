// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"math"
	"strconv"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// hops returns the hop count of a received message: 0 if it has none, or none that is a
// number. Of several counts the highest is valid, so that no bridge on the way can hide
// it.
func hops(p *packet.Properties) uint64 {
	if p == nil {
		return 0
	}
	var count uint64
	for name, value := range p.User.All() {
		if name != v1alpha1.HopsProperty {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			n = math.MaxUint64
		}
		count = max(count, n)
	}
	return count
}

// tooManyHops reports whether the message would be forwarded with a higher hop count than
// the rule allows.
func tooManyHops(r *manifest.Rule, p *packet.Properties) bool {
	return r.MaxHops > 0 && hops(p) >= r.MaxHops
}

// properties returns the properties of the forwarded message: the received properties,
// the hop count, and the properties of the rule. received is shared with other rules and
// is not changed.
func properties(r *manifest.Rule, received *packet.Properties) *packet.Properties {
	if r.MaxHops == 0 && len(r.UserProperties) == 0 {
		return received
	}
	var out packet.Properties
	if received != nil {
		out = *received
	}
	added := make([]packet.UserProperty, 0, 1+len(r.UserProperties))
	if r.MaxHops > 0 {
		out.User = out.User.Without(v1alpha1.HopsProperty)
		added = append(added, packet.UserProperty{Name: v1alpha1.HopsProperty, Value: strconv.FormatUint(hops(received)+1, 10)})
	}
	for _, p := range r.UserProperties {
		added = append(added, packet.UserProperty(p))
	}
	out.User = out.User.With(added...)
	return &out
}

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func validateDeletion(s *v1alpha1.MQTTBridgeSpec, path *field.Path) field.ErrorList {
	errs := inRange(path.Child("deletionTimeoutSeconds"), s.DeletionTimeoutSeconds, 10, 86400)
	if p := s.DeletionPolicy; p != nil {
		errs = append(errs, oneOf(path.Child("deletionPolicy"), *p, v1alpha1.DeletionKeep, v1alpha1.DeletionEndSessions, v1alpha1.DeletionDrain)...)
	}
	return errs
}

// The names of the sides.
const (
	SideLocal  = "local"
	SideRemote = "remote"
)

// RemainingSessions returns the sessions and the retained notifications that the bridge may
// leave on servers: on each server of a side that messages come from, the session with its
// subscriptions; and on all servers the notification, if there are notifications. They are in
// the order of the servers, the local servers first. The defaults of the spec must be resolved.
func RemainingSessions(s *v1alpha1.MQTTBridgeSpec) []v1alpha1.RemainingSession {
	local := remainingOn(s, SideLocal, &s.Local, len(s.LocalToRemote) > 0)
	return append(local, remainingOn(s, SideRemote, &s.Remote, len(s.RemoteToLocal) > 0)...)
}

func remainingOn(s *v1alpha1.MQTTBridgeSpec, name string, side *v1alpha1.Side, isSource bool) []v1alpha1.RemainingSession {
	remaining := v1alpha1.RemainingSession{Side: name}
	if isSource && !*side.CleanSession {
		remaining.ClientID = side.ClientID
	}
	if s.Notifications != nil {
		remaining.Notification = s.Notifications.Topic
	}
	if remaining.ClientID == "" && remaining.Notification == "" {
		return nil
	}
	var out []v1alpha1.RemainingSession
	for _, server := range side.Servers() {
		remaining.Server = server.Name
		out = append(out, remaining)
	}
	return out
}

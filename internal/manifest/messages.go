// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Limits, as in the schema. The lengths are in characters.
const (
	maxUserProperties = 16
	maxPropertyName   = 256
	maxPropertyValue  = 1024
)

const controlCharacters = "a user property must not contain control characters, because a server may end the connection when it receives them; remove them"

func validateUserProperties(properties []v1alpha1.UserProperty, path *field.Path) field.ErrorList {
	errs := tooMany(path, len(properties), maxUserProperties)
	for i := range properties {
		p := &properties[i]
		name, value := path.Index(i).Child("name"), path.Index(i).Child("value")
		switch {
		case p.Name == "":
			errs = append(errs, field.Required(name, "a user property needs a name; set name"))
		case longer(p.Name, maxPropertyName):
			errs = append(errs, field.TooLong(name, p.Name, maxPropertyName))
		case hasControls(p.Name):
			errs = append(errs, field.Invalid(name, p.Name, controlCharacters))
		case p.Name == v1alpha1.HopsProperty:
			errs = append(errs, field.Invalid(name, p.Name, "mqttbridge-hops is reserved for delivery.maxHops; choose another name"))
		}
		switch {
		case longer(p.Value, maxPropertyValue):
			errs = append(errs, field.TooLong(value, p.Value, maxPropertyValue))
		case hasControls(p.Value):
			errs = append(errs, field.Invalid(value, p.Value, controlCharacters))
		}
	}
	return errs
}

// hasControls reports whether a text contains a control character of ASCII: the class
// [[:cntrl:]] in the schema matches only these.
func hasControls(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r <= unicode.MaxASCII && unicode.IsControl(r) })
}

func validateNotifications(n *v1alpha1.Notifications, path *field.Path) field.ErrorList {
	if n == nil {
		return nil
	}
	var errs field.ErrorList
	topic := path.Child("topic")
	switch {
	case n.Topic == "":
		errs = append(errs, field.Required(topic, "notifications need a topic; set topic, for example to bridges/plant1/state"))
	case longer(n.Topic, maxFilter):
		errs = append(errs, field.TooLong(topic, n.Topic, maxFilter))
	case strings.ContainsAny(n.Topic, "+#") || hasControls(n.Topic):
		errs = append(errs, field.Invalid(topic, n.Topic, "the topic of notifications must not contain the wildcards + or #, or control characters; choose a topic such as bridges/plant1/state"))
	case strings.HasPrefix(n.Topic, "$"):
		errs = append(errs, field.Invalid(topic, n.Topic, "topics that start with $ belong to the servers, and clients cannot publish to them; choose another topic, such as bridges/plant1/state"))
	}
	if n.QoS != nil && *n.QoS != 0 && *n.QoS != 1 {
		errs = append(errs, field.NotSupported(path.Child("qos"), *n.QoS, []string{"0", "1"}))
	}
	return errs
}

// validateVersions refuses settings that need MQTT 5 on a side with another version.
func validateVersions(s *v1alpha1.MQTTBridgeSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	local, remote := usesMQTT5(&s.Local), usesMQTT5(&s.Remote)
	for _, d := range []struct {
		name                  string
		rules                 []v1alpha1.Rule
		source, destination   string
		source5, destination5 bool
	}{
		{"localToRemote", s.LocalToRemote, "local", "remote", local, remote},
		{"remoteToLocal", s.RemoteToLocal, "remote", "local", remote, local},
	} {
		if !d.destination5 && slices.ContainsFunc(d.rules, func(r v1alpha1.Rule) bool { return len(r.UserProperties) > 0 }) {
			errs = append(errs, field.Invalid(path.Child(d.name), "userProperties", fmt.Sprintf("userProperties in %s need MQTT 5 on the side that the messages go to; set %s.protocolVersion to '5' or remove them", d.name, d.destination)))
		}
		if !d.source5 && slices.ContainsFunc(d.rules, func(r v1alpha1.Rule) bool { return r.RetainHandling != nil }) {
			errs = append(errs, field.Invalid(path.Child(d.name), "retainHandling", fmt.Sprintf("retainHandling in %s needs MQTT 5 on the side that the messages come from; set %s.protocolVersion to '5' or remove it", d.name, d.source)))
		}
	}
	if s.Delivery != nil && s.Delivery.MaxHops != nil && (!local || !remote) {
		errs = append(errs, field.Invalid(path.Child("delivery", "maxHops"), *s.Delivery.MaxHops, "maxHops needs MQTT 5 on both sides, because hops are counted in a user property; set local.protocolVersion and remote.protocolVersion to '5' or remove maxHops"))
	}
	return errs
}

func usesMQTT5(s *v1alpha1.Side) bool {
	return s.ProtocolVersion != nil && *s.ProtocolVersion == v1alpha1.ProtocolVersion5
}

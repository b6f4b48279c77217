// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func validateUnforwardable(s *v1alpha1.MQTTBridgeSpec, path *field.Path) field.ErrorList {
	if s.Delivery == nil || s.Delivery.Unforwardable == nil {
		return nil
	}
	u, unforwardable := s.Delivery.Unforwardable, path.Child("delivery", "unforwardable")
	var errs field.ErrorList
	policy := ptr.Deref(u.Policy, v1alpha1.UnforwardableDrop)
	errs = append(errs, oneOf(unforwardable.Child("policy"), policy, v1alpha1.UnforwardableDrop, v1alpha1.UnforwardableBlock)...)
	if u.DeadLetter == nil {
		return errs
	}
	deadLetter := unforwardable.Child("deadLetter")
	if policy == v1alpha1.UnforwardableBlock {
		errs = append(errs, field.Invalid(deadLetter, u.DeadLetter.Topic, "with policy Block the bridge keeps an unforwardable message and publishes no dead letters; set policy to Drop or remove deadLetter"))
	}
	name := u.DeadLetter.Topic
	switch {
	case name == "":
		return append(errs, field.Required(deadLetter.Child("topic"), "dead letters need a topic; set topic, for example to bridges/plant1/dead"))
	case longer(name, maxFilter):
		errs = append(errs, field.TooLong(deadLetter.Child("topic"), name, maxFilter))
	case strings.ContainsAny(name, "+#") || hasControls(name):
		errs = append(errs, field.Invalid(deadLetter.Child("topic"), name, "the topic of dead letters must not contain the wildcards + or #, or control characters; choose a topic such as bridges/plant1/dead"))
	case strings.Contains(name, "${"):
		errs = append(errs, field.Invalid(deadLetter.Child("topic"), name, "all dead letters have the same topic, and placeholders such as ${topic} and ${1} are not replaced in it; choose a topic without them, such as bridges/plant1/dead"))
	case strings.HasPrefix(name, "$"):
		errs = append(errs, field.Invalid(deadLetter.Child("topic"), name, "topics that start with $ belong to the servers, and clients cannot publish to them; choose another topic, such as bridges/plant1/dead"))
	case s.Notifications != nil && s.Notifications.Topic == name:
		errs = append(errs, field.Invalid(deadLetter.Child("topic"), name, "dead letters and notifications have the same topic, so they would replace each other; choose another topic, such as bridges/plant1/dead"))
	}
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, forwardedBy(name, "localToRemote", s.LocalToRemote, deadLetter.Child("topic"))...)
	return append(errs, forwardedBy(name, "remoteToLocal", s.RemoteToLocal, deadLetter.Child("topic"))...)
}

// forwardedBy refuses a topic for dead letters that a rule forwards. The schema does not check
// this: a rule that compares the levels of topics would exceed its cost limit.
func forwardedBy(name, list string, rules []v1alpha1.Rule, path *field.Path) field.ErrorList {
	compiled, err := Rules(rules)
	if err != nil {
		return nil // validateRules reports it
	}
	for i := range compiled {
		if r := &compiled[i]; r.Filter.Match(name) && !r.Excludes(name) {
			return field.ErrorList{field.Invalid(path, name, fmt.Sprintf(
				"the filter of %s[%d] (%q) matches this topic, so the bridge would forward dead letters; choose a topic that no filter matches, or add it to the rule's exclude", list, i, rules[i].Filter))}
		}
	}
	return nil
}

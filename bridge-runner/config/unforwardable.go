// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

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
	letter := unforwardable.Child("deadLetter")
	if policy == v1alpha1.UnforwardableBlock {
		errs = append(errs, field.Invalid(letter, u.DeadLetter.Topic, "with policy Block a message that no server takes is kept, and there are no dead letters; set policy to Drop or remove deadLetter"))
	}
	name := u.DeadLetter.Topic
	switch {
	case name == "":
		return append(errs, field.Required(letter.Child("topic"), "dead letters need a topic, such as bridges/plant1/dead"))
	case longer(name, maxFilter):
		errs = append(errs, field.TooLong(letter.Child("topic"), name, maxFilter))
	case strings.ContainsAny(name, "+#") || hasControls(name):
		errs = append(errs, field.Invalid(letter.Child("topic"), name, "the topic of dead letters has no wildcards + or # and no control characters, as in bridges/plant1/dead"))
	case strings.Contains(name, "${"):
		errs = append(errs, field.Invalid(letter.Child("topic"), name, "the topic of dead letters is the same for all, and nothing is put in place of ${topic} and ${1}; write one without them, as in bridges/plant1/dead"))
	case strings.HasPrefix(name, "$"):
		errs = append(errs, field.Invalid(letter.Child("topic"), name, "topics that start with $ are the servers' own, which clients cannot publish to; choose another one, as in bridges/plant1/dead"))
	case s.Notifications != nil && s.Notifications.Topic == name:
		errs = append(errs, field.Invalid(letter.Child("topic"), name, "dead letters and notifications have the same topic, so each would overwrite the other's; choose another topic, as in bridges/plant1/dead"))
	}
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, forwardedBy(name, "forwards", s.Forwards, letter.Child("topic"))...)
	return append(errs, forwardedBy(name, "subscriptions", s.Subscriptions, letter.Child("topic"))...)
}

// forwardedBy refuses a topic of dead letters that a rule forwards. The schema does not:
// its rules cannot compare levels within their cost.
func forwardedBy(name, list string, rules []v1alpha1.Rule, path *field.Path) field.ErrorList {
	compiled, err := Rules(rules)
	if err != nil {
		return nil // said by validateRules
	}
	for i := range compiled {
		if r := &compiled[i]; r.Filter.Match(name) && !r.Excludes(name) {
			return field.ErrorList{field.Invalid(path, name, fmt.Sprintf(
				"%s[%d] (filter %q) takes dead letters, too, so they would be forwarded; choose a topic that no filter matches, or add it to the rule's exclude", list, i, rules[i].Filter))}
		}
	}
	return nil
}

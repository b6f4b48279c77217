// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

// Rule is a compiled rule of a direction.
type Rule struct {
	// Filter is what is subscribed to.
	Filter topic.Filter
	// Mapping gives the topic to publish under.
	Mapping topic.Mapping
	// QoS is the highest QoS of these messages, 0 to 2.
	QoS byte
	// Retain says what becomes of the retain flag.
	Retain v1alpha1.RetainPolicy
	// Exclude holds the filters of messages that do not go over.
	Exclude []topic.Filter
	// RetainHandling says when the server sends retained messages.
	RetainHandling v1alpha1.RetainHandling
	// UserProperties are added to each message.
	UserProperties []v1alpha1.UserProperty
	// MaxHops is the highest hop count with which a message goes over; 0: hops are
	// not counted.
	MaxHops uint64
}

// Excludes reports whether messages with this topic do not go over.
func (r *Rule) Excludes(name string) bool {
	for i := range r.Exclude {
		if r.Exclude[i].Match(name) {
			return true
		}
	}
	return false
}

// Directions compiles the rules of both directions of a spec that [Validate] has
// accepted, with what holds for all of them.
func Directions(s *v1alpha1.MQTTBridgeSpec) (forwards, subscriptions []Rule, err error) {
	if forwards, err = Rules(s.Forwards); err != nil {
		return nil, nil, fmt.Errorf("forwards: %w", err)
	}
	if subscriptions, err = Rules(s.Subscriptions); err != nil {
		return nil, nil, fmt.Errorf("subscriptions: %w", err)
	}
	for _, rules := range [][]Rule{forwards, subscriptions} {
		for i := range rules {
			if s.Delivery != nil && s.Delivery.MaxHops != nil {
				rules[i].MaxHops = uint64(*s.Delivery.MaxHops) //nolint:gosec // validated
			}
			if s.Notifications == nil {
				continue
			}
			own, err := topic.ParseFilter(s.Notifications.Topic)
			if err != nil {
				return nil, nil, fmt.Errorf("notifications.topic: %w", err)
			}
			rules[i].Exclude = append(rules[i].Exclude, own)
		}
	}
	return forwards, subscriptions, nil
}

// Rules compiles rules that [Validate] has accepted.
func Rules(rules []v1alpha1.Rule) ([]Rule, error) {
	out := make([]Rule, len(rules))
	for i := range rules {
		r, err := compile(&rules[i], field.NewPath("rules").Index(i))
		if err != nil {
			return nil, err.ToAggregate()
		}
		out[i] = r
	}
	return out, nil
}

// Filters with these prefixes are no filters of topics: a server takes the prefix off.
// Besides them there is $exclusive/, which package topic knows. The schema's rule for
// exclude leaves out $SharedSubscription/, with which it would exceed its cost.
var (
	sharedPrefix   = regexp.MustCompile(`^([$]exclusive/)?[$](share|oshare|SharedSubscription|queue|q)/`)
	excludePrefix  = regexp.MustCompile(`^[$](share|oshare|SharedSubscription|queue|q|delayed|fastlane|limit|local|noexport|stream|exclusive)/`)
	strippedPrefix = regexp.MustCompile(`^([$]exclusive/[$]exclusive|([$]exclusive/)?[$](delayed|fastlane|limit|local|noexport|stream))/`)
)

// prefixError says why a filter with a prefix that a server takes off is refused, and is
// empty for other filters.
func prefixError(filter string) string {
	switch {
	case sharedPrefix.MatchString(filter):
		return "shared subscriptions are not supported: the server gives each message to one of several clients, in no order, and the bridge is a single one; write the filter without $share/group/, $oshare/group/, $SharedSubscription/name/, $queue/ or $q/"
	case strippedPrefix.MatchString(filter):
		return "servers take the prefix $delayed/, $fastlane/, $limit/, $local/, $noexport/ or $stream/ off, so that no message comes with a topic that the filter matches; write the filter without it"
	}
	return ""
}

// compile takes a rule with or without its defaults.
func compile(r *v1alpha1.Rule, path *field.Path) (Rule, field.ErrorList) {
	var errs field.ErrorList
	out := Rule{QoS: byte(v1alpha1.DefaultQoS), Retain: v1alpha1.RetainKeep, RetainHandling: v1alpha1.RetainHandlingSendIfNew}
	filter := path.Child("filter")
	f, err := topic.ParseFilter(r.Filter)
	switch {
	case r.Filter == "":
		errs = append(errs, field.Required(filter, "every rule needs a topic filter, such as sensors/#"))
	case longer(r.Filter, maxFilter):
		errs = append(errs, field.TooLong(filter, r.Filter, maxFilter))
	case err != nil:
		errs = append(errs, field.Invalid(filter, r.Filter, err.Error()))
	default:
		if message := prefixError(r.Filter); message != "" {
			errs = append(errs, field.Invalid(filter, r.Filter, message))
		}
	}
	if len(errs) > 0 {
		return out, errs
	}
	out.Filter = f
	template := r.Topic
	if template == "" {
		template = v1alpha1.DefaultTopic
	}
	if longer(template, maxFilter) {
		errs = append(errs, field.TooLong(path.Child("topic"), r.Topic, maxFilter))
	}
	if out.Mapping, err = topic.ParseMapping(f, template); err != nil {
		errs = append(errs, field.Invalid(path.Child("topic"), r.Topic, err.Error()))
	}
	if r.QoS != nil {
		if *r.QoS < 0 || *r.QoS > 2 {
			errs = append(errs, field.NotSupported(path.Child("qos"), *r.QoS, []string{"0", "1", "2"}))
		}
		out.QoS = byte(*r.QoS & 3)
	}
	if r.Retain != nil {
		errs = append(errs, oneOf(path.Child("retain"), *r.Retain, v1alpha1.RetainKeep, v1alpha1.RetainClear, v1alpha1.RetainSet)...)
		out.Retain = *r.Retain
	}
	if r.RetainHandling != nil {
		errs = append(errs, oneOf(path.Child("retainHandling"), *r.RetainHandling, v1alpha1.RetainHandlingSend, v1alpha1.RetainHandlingSendIfNew, v1alpha1.RetainHandlingDoNotSend)...)
		out.RetainHandling = *r.RetainHandling
	}
	errs = append(errs, validateUserProperties(r.UserProperties, path.Child("userProperties"))...)
	out.UserProperties = r.UserProperties
	errs = append(errs, tooMany(path.Child("exclude"), len(r.Exclude), maxExcludes)...)
	for _, e := range r.Exclude {
		x, err := topic.ParseFilter(e)
		switch {
		case longer(e, maxFilter):
			errs = append(errs, field.TooLong(path.Child("exclude"), e, maxFilter))
		case excludePrefix.MatchString(e):
			errs = append(errs, field.Invalid(path.Child("exclude"), e, "exclude is compared with the topics of messages, which begin with none of the prefixes of subscriptions, such as $share/group/ and $exclusive/; write the filter without it"))
		case err != nil:
			errs = append(errs, field.Invalid(path.Child("exclude"), e, err.Error()))
		default:
			out.Exclude = append(out.Exclude, x)
		}
	}
	return out, errs
}

func validateRules(rules []v1alpha1.Rule, path *field.Path) field.ErrorList {
	errs := tooMany(path, len(rules), maxRules)
	for i := range rules {
		_, ruleErrs := compile(&rules[i], path.Index(i))
		errs = append(errs, ruleErrs...)
	}
	return errs
}

// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

// Rule is a compiled rule of a direction.
type Rule struct {
	// Name identifies the rule among the rules of its direction.
	Name string
	// Filter is the topic filter of the subscription.
	Filter topic.Filter
	// Mapping maps the topic of a message to the topic to publish it under.
	Mapping topic.Mapping
	// QoS is the highest QoS of the forwarded messages, 0 to 2.
	QoS byte
	// Retain controls the retain flag of forwarded messages.
	Retain v1alpha1.RetainPolicy
	// Exclude holds the filters of messages that the rule does not forward.
	Exclude []topic.Filter
	// RetainHandling controls when the server sends retained messages.
	RetainHandling v1alpha1.RetainHandling
	// UserProperties are added to each forwarded message.
	UserProperties []v1alpha1.UserProperty
	// MaxHops is the highest hop count of a message that is forwarded. 0: hops are not
	// counted.
	MaxHops uint64
}

// Excludes reports whether the rule excludes messages with this topic.
func (r *Rule) Excludes(name string) bool {
	for i := range r.Exclude {
		if r.Exclude[i].Match(name) {
			return true
		}
	}
	return false
}

// Directions compiles the rules of both directions, including the settings that apply to all
// rules. [Validate] must have accepted the spec.
func Directions(s *v1alpha1.MQTTBridgeSpec) (localToRemote, remoteToLocal []Rule, err error) {
	if localToRemote, err = Rules(s.LocalToRemote); err != nil {
		return nil, nil, fmt.Errorf("localToRemote: %w", err)
	}
	if remoteToLocal, err = Rules(s.RemoteToLocal); err != nil {
		return nil, nil, fmt.Errorf("remoteToLocal: %w", err)
	}
	for _, rules := range [][]Rule{localToRemote, remoteToLocal} {
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
	return localToRemote, remoteToLocal, nil
}

// Rules compiles rules. [Validate] must have accepted them.
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

// The prefixes of filters that servers remove, so that the rest is the topic filter. Package
// topic handles $exclusive/.
var (
	sharedPrefix   = regexp.MustCompile(`^([$]exclusive/)?[$](share|oshare|SharedSubscription|queue|q)/`)
	excludePrefix  = regexp.MustCompile(`^[$](share|oshare|SharedSubscription|queue|q|delayed|fastlane|limit|local|noexport|stream|exclusive)/`)
	strippedPrefix = regexp.MustCompile(`^([$]exclusive/[$]exclusive|([$]exclusive/)?[$](delayed|fastlane|limit|local|noexport|stream))/`)
)

// prefixError explains why a filter with such a prefix is refused. It returns an empty string
// for other filters.
func prefixError(filter string) string {
	switch {
	case sharedPrefix.MatchString(filter):
		return "shared subscriptions are not supported: the server distributes the messages to several clients, in no order, but the bridge is a single client; write the filter without $share/group/, $oshare/group/, $SharedSubscription/name/, $queue/ or $q/"
	case strippedPrefix.MatchString(filter):
		return "servers remove the prefix $delayed/, $fastlane/, $limit/, $local/, $noexport/ or $stream/, so no message has a topic that the filter matches; write the filter without the prefix"
	}
	return ""
}

// compile compiles a rule, with or without its defaults.
func compile(r *v1alpha1.Rule, path *field.Path) (Rule, field.ErrorList) {
	var errs field.ErrorList
	out := Rule{QoS: byte(v1alpha1.DefaultQoS), Retain: v1alpha1.RetainKeep, RetainHandling: v1alpha1.RetainHandlingSendIfNew}
	filter := path.Child("filter")
	f, err := topic.ParseFilter(r.Filter)
	switch {
	case r.Filter == "":
		errs = append(errs, field.Required(filter, "a rule needs a topic filter; set filter, for example to sensors/#"))
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
	out.Filter, out.Name = f, cmp.Or(r.Name, r.Filter)
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
			errs = append(errs, field.Invalid(path.Child("exclude"), e, "exclude is compared with the topics of messages, which never begin with a prefix of subscriptions, such as $share/group/ or $exclusive/; write the filter without the prefix"))
		case err != nil:
			errs = append(errs, field.Invalid(path.Child("exclude"), e, err.Error()))
		default:
			out.Exclude = append(out.Exclude, x)
		}
	}
	return out, errs
}

func validateRules(rules []v1alpha1.Rule, path *field.Path) field.ErrorList {
	errs := tooMany(path, len(rules), MaxRules)
	for i := range rules {
		_, ruleErrs := compile(&rules[i], path.Index(i))
		errs = append(errs, ruleErrs...)
	}
	return append(errs, validateDistinctRules(rules, path)...)
}

// validateDistinctRules refuses two rules with the same filter and topic, which would publish
// each message twice, and two rules with the same name. Filters that differ only in the prefix
// $exclusive/ receive the same messages.
func validateDistinctRules(rules []v1alpha1.Rule, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	type identity struct{ filter, topic string }
	identities, messages, names := map[identity]bool{}, map[identity]bool{}, map[string]bool{}
	for i := range rules {
		r := &rules[i]
		id, name := identity{r.Filter, cmp.Or(r.Topic, v1alpha1.DefaultTopic)}, cmp.Or(r.Name, r.Filter)
		received := identity{topic.WithoutPrefix(r.Filter), id.topic}
		switch {
		case longer(r.Name, maxFilter):
			errs = append(errs, field.TooLong(path.Index(i).Child("name"), r.Name, maxFilter))
		case identities[id]:
			errs = append(errs, field.Duplicate(path.Index(i), fmt.Sprintf("filter %q, topic %q", id.filter, id.topic)))
		case messages[received]:
			errs = append(errs, field.Invalid(path.Index(i).Child("filter"), r.Filter, "the filters of two rules of this direction differ only in the prefix $exclusive/, and their topics are equal, so each message would be published twice; remove the rule without the prefix, or set topic to different topics"))
		case names[name]:
			errs = append(errs, field.Invalid(path.Index(i).Child("name"), name, "two rules of this direction have the same name, which is by default the filter; set name to different names"))
		}
		identities[id], messages[received], names[name] = true, true, true
	}
	return errs
}

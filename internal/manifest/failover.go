// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func validateFailover(f *v1alpha1.Failover, path *field.Path) field.ErrorList {
	if f == nil {
		return nil
	}
	errs := inRange(path.Child("connectTimeoutSeconds"), f.ConnectTimeoutSeconds, 1, 300)
	errs = append(errs, inRange(path.Child("pingTimeoutSeconds"), f.PingTimeoutSeconds, 1, 300)...)
	errs = append(errs, inRange(path.Child("ackTimeoutSeconds"), f.AckTimeoutSeconds, 1, 3600)...)
	if r := f.Retry; r != nil {
		retry := path.Child("retry")
		errs = append(errs, inRange(retry.Child("initialMilliseconds"), r.InitialMilliseconds, 50, 60000)...)
		errs = append(errs, inRange(retry.Child("maxSeconds"), r.MaxSeconds, 1, 3600)...)
		if r.InitialMilliseconds != nil && r.MaxSeconds != nil && int64(*r.InitialMilliseconds) > int64(*r.MaxSeconds)*1000 {
			errs = append(errs, field.Invalid(retry.Child("initialMilliseconds"), *r.InitialMilliseconds, "initialMilliseconds must not exceed maxSeconds; lower it or raise maxSeconds"))
		}
	}
	if f.StaleSession != nil {
		errs = append(errs, oneOf(path.Child("staleSession"), *f.StaleSession, v1alpha1.StaleSessionResume, v1alpha1.StaleSessionDiscard)...)
	}
	never := f.Failback != nil && f.Failback.Policy != nil && *f.Failback.Policy == v1alpha1.FailbackNever
	errs = append(errs, validateProbe(f.Probe, never, path.Child("probe"))...)
	return append(errs, validateFailback(f.Failback, never, path.Child("failback"))...)
}

func validateProbe(p *v1alpha1.Probe, never bool, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := inRange(path.Child("intervalSeconds"), p.IntervalSeconds, 1, 86400)
	errs = append(errs, inRange(path.Child("timeoutSeconds"), p.TimeoutSeconds, 1, 300)...)
	if longer(p.ClientID, maxClientID) {
		errs = append(errs, field.TooLong(path.Child("clientID"), p.ClientID, maxClientID))
	}
	if p.Policy == nil {
		return errs
	}
	policy := path.Child("policy")
	if *p.Policy == v1alpha1.ProbeNever && !never {
		errs = append(errs, field.Invalid(policy, *p.Policy, "without probes the bridge cannot detect when to fail back; set failback.policy to Never, too, or probe.policy to Always"))
	}
	return append(errs, oneOf(policy, *p.Policy, v1alpha1.ProbeAlways, v1alpha1.ProbeNever)...)
}

// validateClientIDs compares the client identifiers that the runner uses. The defaults of s
// must be resolved, because they include derived client identifiers.
func validateClientIDs(s *v1alpha1.MQTTBridgeSpec, namespace string, path *field.Path) (errs field.ErrorList) {
	if s.Local.ClientID == s.Remote.ClientID {
		remote := Addresses(&s.Remote, namespace)
		if slices.ContainsFunc(Addresses(&s.Local, namespace), func(a string) bool { return slices.Contains(remote, a) }) {
			errs = append(errs, field.Invalid(path.Child("remote", "clientID"), s.Remote.ClientID, "local and remote have a server in common and the same clientID, so that each connection would end the other; set clientID to different identifiers, or remove it"))
		}
	}
	for _, x := range []struct {
		name string
		side *v1alpha1.Side
	}{{"local", &s.Local}, {"remote", &s.Remote}} {
		if x.side.Failover.Probe.ClientID == x.side.ClientID {
			errs = append(errs, field.Invalid(path.Child(x.name, "failover", "probe", "clientID"), x.side.ClientID, "probes need a client identifier that differs from the bridge's, because a server disconnects a client when another client connects with the same identifier; set failover.probe.clientID to an identifier other than clientID, or remove it"))
		}
	}
	return errs
}

func validateFailback(f *v1alpha1.Failback, never bool, path *field.Path) field.ErrorList {
	if f == nil {
		return nil
	}
	var errs field.ErrorList
	if f.Policy != nil {
		errs = append(errs, oneOf(path.Child("policy"), *f.Policy, v1alpha1.FailbackAutomatic, v1alpha1.FailbackNever)...)
	}
	errs = append(errs, inRange(path.Child("stableSeconds"), f.StableSeconds, 1, 86400)...)
	windows, zone := path.Child("windows"), path.Child("timeZone")
	errs = append(errs, ValidateWindows(f.Windows, f.TimeZone, windows, zone)...)
	if len(f.Windows) > 0 && never {
		errs = append(errs, field.Invalid(windows, v1alpha1.FailbackNever, "windows limit when the bridge fails back, but with policy Never it does not fail back; remove windows or set policy to Automatic"))
	}
	return errs
}

// maxPreferredServer is the largest length of the name of a preferred server, in bytes.
const maxPreferredServer = 300

// validatePreferred refuses a preferred server that the side does not have. The schema cannot
// check this, because most names of servers are defaults.
func validatePreferred(s *v1alpha1.Side, path *field.Path) field.ErrorList {
	p := s.PreferredServer
	if p == nil {
		return nil
	}
	switch names := s.ServerNames(); {
	case p.Name == "":
		return field.ErrorList{field.Required(path.Child("name"), "preferredServer needs the name of a server of this side; set name or remove preferredServer")}
	case len(p.Name) > maxPreferredServer:
		return field.ErrorList{field.TooLong(path.Child("name"), p.Name, maxPreferredServer)}
	case !slices.Contains(names, p.Name):
		return field.ErrorList{field.Invalid(path.Child("name"), p.Name, fmt.Sprintf(
			"no server of this side has this name; set name to one of its servers (%s), or remove preferredServer", strings.Join(names, ", ")))}
	}
	return nil
}

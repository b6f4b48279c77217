// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the runner's image has no time zones

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	maxWindows  = 16
	maxSchedule = 128
)

// The patterns for schedules, as in the schema's rules.
var (
	// fiveFields matches the accepted schedules: package cron accepts more forms, such as
	// @daily and TZ=.
	fiveFields = regexp.MustCompile(`^[0-9*?,/-]+ +[0-9*?,/-]+ +[0-9*?,/-]+ +([0-9*?,/-]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))+ +([0-9*?,/-]|(?i:sun|mon|tue|wed|thu|fri|sat))+$`)
	// outsideField matches schedules with a value that is outside the range of its field.
	outsideField = regexp.MustCompile(`^(([^ ]*[,-])?([6-9][0-9]|[0-9]{3,})|[^ ]+ +(([^ ]*[,-])?(2[4-9]|[3-9][0-9]|[0-9]{3,})|[^ ]+ +(([^ ]*[,-])?(0+[-,/ ]|3[2-9]|[4-9][0-9]|[0-9]{3,})|[^ ]+ +(([^ ]*[,-])?(0+[-,/ ]|1[3-9]|[2-9][0-9]|[0-9]{3,})|[^ ]+ +([^ ]*[,-])?([7-9]|[0-9]{2,})))))`)
)

// anyLeapYear is a time from which each schedule that opens at all opens within a few years.
var anyLeapYear = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

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
	windows := path.Child("windows")
	errs = append(errs, tooMany(windows, len(f.Windows), maxWindows)...)
	for i := range f.Windows {
		errs = append(errs, validateWindow(&f.Windows[i], windows.Index(i))...)
	}
	if len(f.Windows) > 0 && never {
		errs = append(errs, field.Invalid(windows, v1alpha1.FailbackNever, "windows limit when the bridge fails back, but with policy Never it does not fail back; remove windows or set policy to Automatic"))
	}
	zone := path.Child("timeZone")
	switch _, err := time.LoadLocation(f.TimeZone); {
	case f.TimeZone != "" && len(f.Windows) == 0:
		errs = append(errs, field.Invalid(zone, f.TimeZone, "timeZone applies to windows, but windows is empty; add windows or remove timeZone"))
	case err != nil || f.TimeZone == "Local":
		errs = append(errs, field.Invalid(zone, f.TimeZone, "timeZone must be a name of the IANA time zone database, such as Europe/Berlin or UTC"))
	}
	return errs
}

func validateWindow(w *v1alpha1.FailbackWindow, path *field.Path) field.ErrorList {
	errs := inRange(path.Child("durationMinutes"), &w.DurationMinutes, 1, 10080)
	if len(w.Schedule) > maxSchedule {
		return append(errs, field.TooLong(path.Child("schedule"), w.Schedule, maxSchedule))
	}
	const (
		expected = "schedule must consist of the five fields of cron: minute, hour, day of month, month and day of week, as in '0 2 * * 6'"
		outside  = "a value of schedule is outside its field: minutes are from 0 to 59, hours from 0 to 23, days of the month from 1 to 31, months from 1 to 12, and days of the week from 0 (Sunday) to 6"
		never    = "the window never opens, because no month of schedule has the day; choose a day that the month has, as in '0 2 28 2 *'"
	)
	schedule := path.Child("schedule")
	if !fiveFields.MatchString(w.Schedule) {
		return append(errs, field.Invalid(schedule, w.Schedule, expected))
	}
	if outsideField.MatchString(w.Schedule) {
		return append(errs, field.Invalid(schedule, w.Schedule, outside))
	}
	switch parsed, err := cron.ParseStandard(w.Schedule); {
	case err != nil:
		errs = append(errs, field.Invalid(schedule, w.Schedule, expected+": "+err.Error()))
	case parsed.Next(anyLeapYear).IsZero():
		errs = append(errs, field.Invalid(schedule, w.Schedule, never))
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

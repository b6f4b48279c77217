// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/window"
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

// ValidateWindows checks a list of windows and their time zone, which are at these paths.
func ValidateWindows(list []v1alpha1.Window, name v1alpha1.TimeZone, windows, zone *field.Path) field.ErrorList {
	errs := tooMany(windows, len(list), maxWindows)
	for i := range list {
		errs = append(errs, validateWindow(&list[i], windows.Index(i))...)
	}
	switch _, err := window.Location(name); {
	case name != "" && len(list) == 0:
		errs = append(errs, field.Invalid(zone, name, fmt.Sprintf("%[1]s applies to %[2]s, but %[2]s is empty; add %[2]s or remove %[1]s", fieldName(zone), fieldName(windows))))
	case err != nil:
		errs = append(errs, field.Invalid(zone, name, "the time zone must be a name of the IANA time zone database, such as Europe/Berlin or UTC"))
	}
	return errs
}

// fieldName returns the last part of a path.
func fieldName(path *field.Path) string {
	text := path.String()
	return text[strings.LastIndex(text, ".")+1:]
}

func validateWindow(w *v1alpha1.Window, path *field.Path) field.ErrorList {
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

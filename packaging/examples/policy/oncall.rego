# Only those who are on call on the first level may reach the database.
#
# Elsewhere such a file asks PagerDuty: http.send to https://api.pagerduty.com/oncalls, and response.body.oncalls.
# Here the same list is data.oncalls, of those who are on call within the shift that is asked about.
package authkeys

import rego.v1

default decision := {"allow": false}

decision := {"allow": true, "ttl": "24h"} if {
	some oncall in data.oncalls
	oncall.user.name == input.person
	oncall.schedule.id == input.schedule
	oncall.start == input.start
	oncall.escalation_level == input.level
	oncall.escalation_level <= 1
}

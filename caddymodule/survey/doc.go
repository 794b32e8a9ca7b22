// Package survey follows requests through the routes of a configuration, for what is
// wrong with how sites with wechat_auth lie to each other and to their apps.
package survey

//! libnss_oncall.so.2: groups whose members are on call. Serves nothing yet.

#![forbid(unsafe_code)]

//! CTI and HTTP as a desktop and an operator use them.

//! A build as it is released.

use super::{ask, has_documented};
use crate::rig::server::Setup;

#[tokio::test]
async fn a_released_build_has_no_faults_to_order() {
    let server = Setup::new().start().await;
    for method in ["GET", "POST", "DELETE"] {
        let (status, problem) = ask(server.http, method, r#"{"fault":"panic","actor":"lobby"}"#).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("not-found")), "{method}");
    }
    assert!(!has_documented(server.http).await);
}
